// ROUGE against hand values and rouge_score (tests/golden/metrics.json).
#include "tasks/rouge.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

using namespace retort::tasks;

TEST(Rouge, HandValues) {
  // 5 of 6 words shared; pairs: the-cat, on-the, the-mat of 5; subsequence: the cat on the mat.
  Rouge scores = rouge("the cat sat on the mat", "The cat WAS on the mat.");
  EXPECT_NEAR(scores.rouge1, 5.0 / 6, 1e-12);
  EXPECT_NEAR(scores.rouge2, 3.0 / 5, 1e-12);
  EXPECT_NEAR(scores.rouge_l, 5.0 / 6, 1e-12);
  Rouge turned = rouge("a b c d", "d c b a");
  EXPECT_EQ(turned.rouge1, 1);
  EXPECT_EQ(turned.rouge2, 0);
  EXPECT_NEAR(turned.rouge_l, 0.25, 1e-12);
  Rouge repeated = rouge("a", "a a a");  // a word counts as often as both have it
  EXPECT_NEAR(repeated.rouge1, 2.0 / 4, 1e-12);
  EXPECT_EQ(rouge("", "").rouge1, 0);
}

TEST(Rouge, GoldenValues) {
  std::ifstream file(RETORT_SOURCE_DIR "/tests/golden/metrics.json");
  auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["rouge"].size(), 10u);
  for (const auto& pair : golden["rouge"]) {
    Rouge scores = rouge(pair["reference"].get<std::string>(), pair["answer"].get<std::string>());
    EXPECT_NEAR(scores.rouge1, pair["rouge1"].get<double>(), 1e-12) << pair;
    EXPECT_NEAR(scores.rouge2, pair["rouge2"].get<double>(), 1e-12) << pair;
    EXPECT_NEAR(scores.rouge_l, pair["rougeL"].get<double>(), 1e-12) << pair;
  }
}
