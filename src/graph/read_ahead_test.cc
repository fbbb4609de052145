#include "graph/read_ahead.h"

#include <gtest/gtest.h>

#include <array>

namespace retort::graph {
namespace {

using Streams = std::array<ReadAhead::Stream, 2>;

class ReadAheadTest : public testing::Test {
 protected:
  Streams product(int index) const { return {{{memory_ + 100 * index, 50}, {memory_ + 100 * index + 50, 50}}}; }
  /// The product that is said to follow, -1 when it is not known.
  int64_t after(int index) {
    Streams streams = product(index);
    std::span<const ReadAhead::Stream> next = ahead_.advance(streams);
    if (next.empty()) return -1;
    EXPECT_EQ(next.size(), 2u);
    EXPECT_EQ(next[1].begin, next[0].begin + 50);
    return (next[0].begin - memory_) / 100;
  }

  std::byte memory_[1000] = {};
  ReadAhead ahead_;
};

TEST_F(ReadAheadTest, RepeatsTheOrderOfThePassBefore) {
  for (int index : {3, 1, 4}) EXPECT_EQ(after(index), -1);
  for (int pass = 0; pass < 2; ++pass) {
    ahead_.restart();
    EXPECT_EQ(after(3), 1);
    EXPECT_EQ(after(1), 4);
    EXPECT_EQ(after(4), 3);  // the next pass begins so
  }
}

TEST_F(ReadAheadTest, LearnsAnotherModel) {
  for (int index : {0, 1, 2}) after(index);
  ahead_.restart();
  EXPECT_EQ(after(0), 1);
  EXPECT_EQ(after(5), -1);  // not what came before: the rest is forgotten
  EXPECT_EQ(after(2), -1);
  ahead_.restart();
  EXPECT_EQ(after(0), 5);
  EXPECT_EQ(after(5), 2);
}

TEST_F(ReadAheadTest, LearnsAnotherNumberOfThreads) {
  for (int index : {0, 1}) after(index);
  ahead_.restart();
  ReadAhead::Stream alone{memory_, 100};
  EXPECT_TRUE(ahead_.advance({&alone, 1}).empty());
  EXPECT_EQ(after(0), -1);
}

}  // namespace
}  // namespace retort::graph
