#include "training/schedule.h"

#include <gtest/gtest.h>

using namespace retort::training;

TEST(Schedule, ConstantAfterWarmup) {
  Schedule s{ScheduleKind::kConstant, 0.4, 4, 10};
  EXPECT_DOUBLE_EQ(s.at(0), 0.1);
  EXPECT_DOUBLE_EQ(s.at(3), 0.4);
  EXPECT_DOUBLE_EQ(s.at(4), 0.4);
  EXPECT_DOUBLE_EQ(s.at(9), 0.4);
}

TEST(Schedule, LinearFallsToZeroAfterTheLastStep) {
  Schedule s{ScheduleKind::kLinear, 1, 0, 4};
  EXPECT_DOUBLE_EQ(s.at(0), 1);
  EXPECT_DOUBLE_EQ(s.at(1), 0.75);
  EXPECT_DOUBLE_EQ(s.at(3), 0.25);
  EXPECT_DOUBLE_EQ(s.at(4), 0);
  EXPECT_DOUBLE_EQ(s.at(400), 0);
}

TEST(Schedule, CosineIsHalfInTheMiddle) {
  Schedule s{ScheduleKind::kCosine, 2, 2, 10};
  EXPECT_DOUBLE_EQ(s.at(0), 1);
  EXPECT_DOUBLE_EQ(s.at(2), 2);
  EXPECT_NEAR(s.at(6), 1, 1e-12);
  EXPECT_NEAR(s.at(9), 1 - 0.92387953251128674, 1e-12);  // 1 + cos(7 pi / 8)
  EXPECT_NEAR(s.at(10), 0, 1e-12);
}

TEST(Schedule, WarmupLongerThanTheRunNeverDividesByZero) {
  Schedule s{ScheduleKind::kCosine, 1, 10, 5};
  EXPECT_DOUBLE_EQ(s.at(4), 0.5);
  EXPECT_DOUBLE_EQ(s.at(10), 1);
}

TEST(Schedule, NarrowModelsBeginWithHigherRates) {
  EXPECT_DOUBLE_EQ(default_learning_rate(true, 576), 8e-4);
  EXPECT_NEAR(default_learning_rate(true, 1536), 3.65e-4, 1e-6);
  EXPECT_NEAR(default_learning_rate(true, 4096), 1.67e-4, 1e-6);
  EXPECT_DOUBLE_EQ(default_learning_rate(false, 576), 2e-4);
}

TEST(Schedule, NamesRoundTrip) {
  for (ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine})
    EXPECT_EQ(schedule_from_name(name(kind)), kind);
  EXPECT_FALSE(schedule_from_name("polynomial"));
}
