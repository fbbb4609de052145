#include "base/check.h"

#include <gtest/gtest.h>

TEST(Check, PassesWithoutEffect) {
  RETORT_CHECK(1 + 1 == 2);
  RETORT_CHECK(true);
}

TEST(CheckDeathTest, PrintsBothSides) {
  int rows = 3;
  EXPECT_DEATH(RETORT_CHECK(rows == 4), "check failed: rows == 4 \\(3 == 4\\)");
  EXPECT_DEATH(RETORT_CHECK(rows > 4), "3 > 4");
}
