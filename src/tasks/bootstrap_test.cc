// Bootstrap intervals: known cases, and coverage: 95% intervals hold the truth about 95 times in 100.
#include "tasks/bootstrap.h"

#include <gtest/gtest.h>

#include "tasks/metrics.h"

using namespace retort;
using namespace retort::tasks;

TEST(Quantile, InterpolatesBetweenNeighbours) {
  EXPECT_EQ(quantile({}, 0.5), 0);
  EXPECT_EQ(quantile({7}, 0.99), 7);
  EXPECT_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_EQ(quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_NEAR(quantile({10, 20, 30}, 0.9), 28, 1e-12);
}

TEST(Bootstrap, KnownCases) {
  std::vector<double> none, same(20, 0.25), mixed = {0, 0, 0, 1};
  Estimate empty = with_interval(std::span<const double>(none), mean);
  EXPECT_EQ(empty.value, 0);
  EXPECT_EQ(empty.low, 0);
  EXPECT_EQ(empty.high, 0);
  Estimate constant = with_interval(std::span<const double>(same), mean);
  EXPECT_EQ(constant.low, 0.25);
  EXPECT_EQ(constant.high, 0.25);
  Estimate estimate = with_interval(std::span<const double>(mixed), mean);
  EXPECT_EQ(estimate.value, 0.25);
  EXPECT_EQ(estimate.low, 0);  // no one among four: (3/4)^4 = 0.32 of the resamples
  EXPECT_EQ(estimate.high, 0.75);
}

TEST(Bootstrap, TheSeedDecides) {
  std::vector<double> rows;
  rows.reserve(50);
  base::Random random(3);
  for (int i = 0; i < 50; ++i) rows.push_back(random.normal());
  auto with_seed = [&](uint64_t seed) { return with_interval(std::span<const double>(rows), mean, {200, seed, 0.95}); };
  EXPECT_EQ(with_seed(1).low, with_seed(1).low);
  EXPECT_NE(with_seed(1).low, with_seed(2).low);
}

TEST(Bootstrap, IntervalsCoverTheTruth) {
  // Accuracies of 200 rows that are right with probability 0.7: binomial, so about 190 of 200 intervals hold 0.7.
  int covered = 0;
  constexpr int kTrials = 200;
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    base::Random random(100 + trial);
    std::vector<double> rows;
    rows.reserve(200);
    for (int i = 0; i < 200; ++i) rows.push_back(random.uniform() < 0.7 ? 1 : 0);
    Estimate estimate = with_interval(std::span<const double>(rows), mean, {400, trial, 0.95});
    if (estimate.low <= 0.7 && 0.7 <= estimate.high) ++covered;
  }
  EXPECT_GE(covered, kTrials * 0.90);
  EXPECT_LE(covered, kTrials * 0.99);
}
