#include "training/run_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/crc32c.h"
#include "base/test_files.h"

using namespace retort::training;
using retort::test::fresh_folder;
using retort::test::read_file;
using testing::HasSubstr;

namespace {

uint64_t number(const std::string& bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<unsigned char>(bytes.at(at + i))} << (8 * i);
  return value;
}

/// An independent reader: checks the framing, and lists what scalars the file has as "step tag value".
std::vector<std::string> scalars(const std::string& file) {
  auto crc_of = [](const std::string& bytes) {
    uint32_t crc = retort::base::crc32c(std::as_bytes(std::span(bytes)));
    return std::rotr(crc, 15) + 0xa282ead8u;
  };
  std::vector<std::string> found;
  for (size_t at = 0; at < file.size();) {
    size_t length = number(file, at, 8);
    EXPECT_EQ(number(file, at + 8, 4), crc_of(file.substr(at, 8)));
    std::string event = file.substr(at + 12, length);
    EXPECT_EQ(number(file, at + 12 + length, 4), crc_of(event));
    at += 16 + length;
    // field 1 (8 bytes), then field 2 (varint) and field 5, or field 3
    EXPECT_EQ(event.at(0), 9);
    if (event.at(9) != 16) {
      found.push_back(event.substr(11));
      continue;
    }
    size_t i = 10;
    auto varint = [&] {
      uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        auto byte = static_cast<unsigned char>(event.at(i++));
        value |= uint64_t{byte & 127u} << shift;
        if (byte < 128) return value;
      }
    };
    uint64_t step = varint();
    EXPECT_EQ(event.at(i++), 42);
    size_t end = varint();
    for (end += i; i < end;) {
      EXPECT_EQ(event.at(i++), 10);
      varint();
      EXPECT_EQ(event.at(i++), 10);
      size_t size = varint();
      std::string tag = event.substr(i, size);
      i += size;
      EXPECT_EQ(event.at(i++), 21);
      auto value = std::bit_cast<float>(static_cast<uint32_t>(number(event, i, 4)));
      i += 4;
      std::ostringstream text;
      text << step << ' ' << tag << ' ' << value;
      found.push_back(text.str());
    }
  }
  return found;
}

}  // namespace

TEST(RunLog, WritesLinesAndEvents) {
  std::string folder = fresh_folder("run_log_test");
  auto log = RunLog::open(folder, 0);
  ASSERT_TRUE(log) << log.error().message;
  ASSERT_TRUE(log->append({1, 1000.5, {{"loss", 2.5}, {"tokens", 300}}}));
  ASSERT_TRUE(log->append({200, 1001, {{"loss", std::nan("")}, {"tokens", 1e6}}}));
  EXPECT_EQ(read_file(folder + "/metrics.jsonl"),
            "{\"step\":1,\"time\":1000.5,\"loss\":2.5,\"tokens\":300}\n"
            "{\"step\":200,\"time\":1001.0,\"loss\":null,\"tokens\":1000000}\n");
  EXPECT_THAT(scalars(read_file(folder + "/events.out.tfevents.0.retort")),
              testing::ElementsAre("brain.Event:2", "1 loss 2.5", "1 tokens 300", "200 tokens 1e+06"));
}

TEST(RunLog, ResumeDropsWhatCameAfterTheCheckpoint) {
  std::string folder = fresh_folder("run_log_test");
  {
    auto log = RunLog::open(folder, 0);
    for (int step = 1; step <= 5; ++step) ASSERT_TRUE(log->append({step, 1000.0 + step, {{"loss", 1.0 / step}}}));
  }
  std::ofstream(folder + "/metrics.jsonl", std::ios::app) << "{\"step\":6,\"lo";  // killed while writing
  auto log = RunLog::open(folder, 3);
  ASSERT_TRUE(log) << log.error().message;
  ASSERT_EQ(log->rows().size(), 3u);
  EXPECT_EQ(log->rows()[2].value("loss"), 1.0 / 3);
  EXPECT_TRUE(std::isnan(log->rows()[2].value("accuracy")));
  ASSERT_TRUE(log->append({4, 2000, {{"loss", 7}}}));
  EXPECT_THAT(scalars(read_file(folder + "/events.out.tfevents.0.retort")),
              testing::ElementsAre("brain.Event:2", "1 loss 1", "2 loss 0.5", "3 loss 0.333333", "4 loss 7"));
  EXPECT_THAT(read_file(folder + "/metrics.jsonl"),
              HasSubstr("\"step\":3,\"time\":1003.0,\"loss\":0.3333333333333333}\n"
                        "{\"step\":4,\"time\":2000.0,\"loss\":7}\n"));
}

TEST(RunLog, RefusesAnAlienLog) {
  std::string folder = fresh_folder("run_log_test");
  std::ofstream(folder + "/metrics.jsonl") << "hello\n";
  auto log = RunLog::open(folder, 3);
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().message, HasSubstr("metrics.jsonl:1: not a row of this log"));
}

TEST(RunLog, NamesAFolderThatCannotBeWritten) {
  auto log = RunLog::open("/proc/nowhere", 0);
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().message, HasSubstr("/proc/nowhere/metrics.jsonl: cannot create"));
}
