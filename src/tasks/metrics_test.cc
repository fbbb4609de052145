// Metrics against hand values and against scikit-learn and numpy (tests/golden/metrics.json).
#include "tasks/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

using namespace retort::tasks;
using testing::ElementsAre;

TEST(Classification, HandValues) {
  // Label 0: 2 of 3 found, once claimed wrongly; label 1: 1 of 2; label 2 never met; label 3 only predicted.
  std::vector<Choice> rows = {{0, 0, 0.9}, {0, 0, 0.8}, {0, 1, 0.6}, {1, 1, 0.7}, {1, 3, 0.5}};
  EXPECT_NEAR(accuracy(rows), 0.6, 1e-12);
  EXPECT_NEAR(macro_f1(rows), (4.0 / 5 + 2.0 / 4 + 0) / 3, 1e-12);
  EXPECT_THAT(confusion(rows, 4), ElementsAre(2, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(accuracy({}), 0);
  EXPECT_EQ(macro_f1({}), 0);
  EXPECT_EQ(calibration_error({}), 0);
}

TEST(Classification, CalibrationHandValues) {
  // Two bins: (0, 0.5] has confidences 0.5 and 0.3, one right: |0.5 - 0.4|; (0.5, 1] has 1.0 and 0.8, one right.
  std::vector<Choice> rows = {{0, 0, 0.5}, {0, 1, 0.3}, {0, 0, 1.0}, {0, 1, 0.8}};
  EXPECT_NEAR(calibration_error(rows, 2), 0.5 * 0.1 + 0.5 * 0.4, 1e-12);
  EXPECT_NEAR(calibration_error(rows, 1), std::abs(0.5 - 0.65), 1e-12);
  std::vector<Choice> sure = {{1, 1, 1.0}}, wrong = {{1, 0, 1.0}}, zero = {{1, 1, 0.0}};
  EXPECT_EQ(calibration_error(sure), 0);
  EXPECT_EQ(calibration_error(wrong), 1);
  EXPECT_EQ(calibration_error(zero), 1);
}

TEST(Classification, GoldenValues) {
  std::ifstream file(RETORT_SOURCE_DIR "/tests/golden/metrics.json");
  auto golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden["classification"].size(), 3u);
  for (const auto& set : golden["classification"]) {
    std::vector<Choice> rows;
    for (size_t i = 0; i < set["expected"].size(); ++i)
      rows.push_back({set["expected"][i], set["predicted"][i], set["confidence"][i]});
    EXPECT_NEAR(accuracy(rows), set["accuracy"].get<double>(), 1e-12);
    EXPECT_NEAR(macro_f1(rows), set["macro_f1"].get<double>(), 1e-12);
    EXPECT_NEAR(calibration_error(rows), set["calibration_error"].get<double>(), 1e-12);
    EXPECT_EQ(confusion(rows, set["labels"]), set["confusion"].get<std::vector<int64_t>>());
  }
}

TEST(Fields, CountsWhatMatches) {
  const char* expected = R"({"number": "12", "street": "Main", "city": "Oslo"})";
  FieldCounts same = compare_fields(expected, R"({"city":"Oslo","street":"Main","number":"12"})");
  EXPECT_EQ(same.expected, 3);
  EXPECT_EQ(same.predicted, 3);
  EXPECT_EQ(same.matched, 3);
  EXPECT_TRUE(same.valid);
  EXPECT_TRUE(same.exact);
  FieldCounts part = compare_fields(expected, R"({"number": 12, "street": "Main", "zip": "1", "city": null})");
  EXPECT_EQ(part.predicted, 4);
  EXPECT_EQ(part.matched, 1);  // 12 is not "12"
  EXPECT_TRUE(part.valid);
  EXPECT_FALSE(part.exact);
  FieldCounts nested = compare_fields(R"({"a": {"b": [1, 2.0]}, "c": {}})", R"({"a": {"b": [1.0, 3]}, "c": {}})");
  EXPECT_EQ(nested.expected, 3);  // a/b/0, a/b/1, c
  EXPECT_EQ(nested.matched, 2);
  EXPECT_FALSE(nested.exact);
  FieldCounts empty = compare_fields("{}", "{}");
  EXPECT_EQ(empty.expected + empty.predicted + empty.matched, 0);
  EXPECT_TRUE(empty.exact);
}

TEST(Fields, WhatIsNoObjectHasNoFields) {
  for (const std::string& answer :
       {std::string(), std::string("Sure: {\"a\": 1}"), std::string("{\"a\": 1"), std::string("{\"a\": 1} and more"),
        std::string("[1]"), std::string("\"a\""), std::string("null"), std::string("{\"a\": \"\xff\"}"),
        "{\"a\": " + std::string(100000, '[') + std::string(100000, ']') + "}"}) {
    FieldCounts counts = compare_fields(R"({"a": 1})", answer);
    EXPECT_EQ(counts.expected, 1);
    EXPECT_EQ(counts.predicted, 0) << answer.substr(0, 40);
    EXPECT_FALSE(counts.valid) << answer.substr(0, 40);
    EXPECT_FALSE(counts.exact);
  }
  EXPECT_TRUE(compare_fields(R"({"a": 1})", " {\"a\": 1}\n").exact);
}

TEST(Fields, MicroF1) {
  std::vector<FieldCounts> rows(2);
  rows[0] = {.expected = 4, .predicted = 3, .matched = 3};
  rows[1] = {.expected = 2, .predicted = 0, .matched = 0};
  EXPECT_NEAR(field_f1(rows), 6.0 / 9, 1e-12);  // precision 1, recall 1/2
  EXPECT_EQ(field_f1({}), 0);
}
