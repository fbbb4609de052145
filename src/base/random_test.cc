#include "base/random.h"

#include <gtest/gtest.h>

using retort::base::Random;

TEST(Random, RepeatsFromItsSeed) {
  Random a(7), b(7), c(8);
  for (int i = 0; i < 10; ++i) {
    uint64_t x = a.bits();
    EXPECT_EQ(x, b.bits());
    EXPECT_NE(x, c.bits());
  }
}

TEST(Random, HasTheRightMoments) {
  Random random(1);
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    double u = random.uniform(), n = random.normal();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
    normal_sum += n;
    normal_squares += n * n;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.005);
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 0.01);
  EXPECT_NEAR(normal_squares / kDraws, 1.0, 0.02);
}

TEST(Random, BelowCoversItsRange) {
  Random random(3);
  int counts[5] = {};
  for (int i = 0; i < 50000; ++i) ++counts[random.below(5)];
  for (int count : counts) EXPECT_NEAR(count, 10000, 500);
}
