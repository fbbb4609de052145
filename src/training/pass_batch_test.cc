#include "training/pass_batch.h"

#include <gtest/gtest.h>

namespace retort::training {
namespace {

/// `prompt` tokens 100, 101, ..., then `own` tokens of the example's own, of which the last `learned` count.
Example example(int prompt, std::vector<int32_t> own, int learned) {
  Example e;
  for (int i = 0; i < prompt; ++i) e.tokens.push_back(100 + i);
  e.tokens.insert(e.tokens.end(), own.begin(), own.end());
  e.loss_weights.assign(e.tokens.size(), 0);
  for (int i = 0; i < learned; ++i) e.loss_weights[e.tokens.size() - 1 - static_cast<size_t>(i)] = 1;
  return e;
}

struct Laid {
  explicit Laid(const std::vector<Example>& examples, bool share = true) : pass(pointers(examples), share) {
    EXPECT_EQ(count_rows(pointers(examples), share), static_cast<int64_t>(pass.tokens.size()));
  }
  static std::vector<const Example*> pointers(const std::vector<Example>& examples) {
    std::vector<const Example*> all;
    all.reserve(examples.size());
    for (const Example& e : examples) all.push_back(&e);
    return all;
  }
  PassBatch pass;
};

TEST(PassBatch, SharesWhatExamplesBeginWith) {
  PassBatch pass = Laid({example(10, {1, 2, 3}, 1), example(10, {4, 5, 6, 7}, 2)}).pass;
  EXPECT_EQ(pass.num_shared, 10);
  EXPECT_EQ(pass.tokens, (std::vector<int32_t>{100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 1, 2, 4, 5, 6}));
  ASSERT_EQ(pass.segments.size(), 3u);
  EXPECT_EQ(pass.segments[0].num_rows, 10);
  EXPECT_EQ(pass.segments[1].first_row, 10);
  EXPECT_EQ(pass.segments[1].num_rows, 2);
  EXPECT_EQ(pass.segments[1].first_position, 10);
  EXPECT_EQ(pass.segments[2].first_row, 12);
  EXPECT_EQ(pass.segments[2].num_rows, 3);
  EXPECT_EQ(pass.wanted, (std::vector<int64_t>{11, 13, 14}));
  EXPECT_EQ(pass.targets, (std::vector<int32_t>{3, 6, 7}));
}

TEST(PassBatch, EachExampleKeepsTheRowThatPredicts) {
  // Alike up to and into the answer: the row before the first learned token belongs to the example.
  PassBatch pass = Laid({example(10, {1, 2}, 2), example(10, {1, 3}, 2)}).pass;
  EXPECT_EQ(pass.num_shared, 9);
  EXPECT_EQ(pass.wanted, (std::vector<int64_t>{9, 10, 11, 12}));
  EXPECT_EQ(pass.targets, (std::vector<int32_t>{1, 2, 1, 3}));
}

TEST(PassBatch, SharesNothingWhereItIsShortOrNotAskedFor) {
  std::vector<Example> alike = {example(10, {1, 2}, 1), example(10, {3, 4}, 1)};
  EXPECT_EQ(Laid(alike, false).pass.num_shared, 0);
  EXPECT_EQ(Laid(alike, false).pass.segments.size(), 2u);
  EXPECT_EQ(Laid({alike[0]}).pass.num_shared, 0);
  EXPECT_EQ(Laid({example(7, {1, 2}, 1), example(7, {3, 4}, 1)}).pass.num_shared, 0);
  EXPECT_EQ(Laid({example(10, {1, 2}, 11), example(10, {3, 4}, 1)}).pass.num_shared, 0);
}

TEST(PassBatch, LeavesOutWhatNothingDependsOn) {
  Example trailing = example(0, {1, 2, 3, 4, 5}, 0), nothing = example(0, {6, 7}, 0);
  trailing.loss_weights[2] = 0.5f;
  PassBatch pass = Laid({trailing, nothing}).pass;
  EXPECT_EQ(pass.tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(pass.segments.size(), 1u);
  EXPECT_EQ(pass.weights, (std::vector<float>{0.5f}));
  EXPECT_TRUE(Laid({nothing}).pass.tokens.empty());
}

}  // namespace
}  // namespace retort::training
