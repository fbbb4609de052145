#include "training/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "tensor/half.h"

using namespace retort;
using training::AdamW;

namespace {

struct Toy {
  std::vector<float> value, gradient;
  std::vector<uint16_t> copy;
  training::OptimizerParameter parameter(bool decays = true) {
    copy.resize(value.size());
    return {"toy", value, gradient, copy, decays};
  }
};

void expect_near(float got, double expected, double limit) {
  if (!(std::abs(static_cast<double>(got) - expected) <= limit)) ADD_FAILURE() << got << ", expected " << expected;
}

}  // namespace

// torch.optim.AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01) in float64, gradient = 3 * value, then
// its values after steps 1, 2 and 10: tools/make_training_goldens.py.
TEST(AdamW, FollowsPyTorch) {
  Toy toy{{1.0f, -2.0f, 0.5f, 0.0f}, {0, 0, 0, 0}, {}};
  AdamW optimizer({toy.parameter()}, {.weight_decay = 0.01});
  base::ThreadPool pool(2);
  const std::vector<std::vector<double>> expected = {
#include "training/adamw_golden.inc"
  };
  for (int step = 1; step <= 10; ++step) {
    for (size_t i = 0; i < 4; ++i) toy.gradient[i] = 3 * toy.value[i];
    optimizer.step(pool, 0.1);
    size_t row = step == 1 ? 0 : step == 2 ? 1 : 2;
    if (step > 2 && step < 10) continue;
    for (size_t i = 0; i < 4; ++i) {
      expect_near(toy.value[i], expected[row][i], 2e-6);
      EXPECT_EQ(toy.copy[i], tensor::float_to_bfloat16(toy.value[i]));
    }
  }
}

TEST(AdamW, FirstStepIsTheSignOfTheGradient) {
  Toy toy{{1, 1, 1}, {1e-3f, -1e3f, 0}, {}};
  AdamW optimizer({toy.parameter()}, {});
  base::ThreadPool pool(1);
  optimizer.step(pool, 0.5);
  expect_near(toy.value[0], 0.5, 1e-5);
  expect_near(toy.value[1], 1.5, 1e-5);
  EXPECT_EQ(toy.value[2], 1);
}

TEST(AdamW, DecayIsDecoupledAndOptional) {
  Toy with{{2}, {0}, {}}, without{{2}, {0}, {}};
  AdamW optimizer({with.parameter(true), without.parameter(false)}, {.weight_decay = 0.5});
  base::ThreadPool pool(1);
  optimizer.step(pool, 0.1);
  expect_near(with.value[0], 2 * (1 - 0.05), 1e-6);
  EXPECT_EQ(without.value[0], 2);
}

TEST(AdamW, GradientScaleScalesTheGradient) {
  Toy a{{1}, {4}, {}}, b{{1}, {1}, {}};
  AdamW first({a.parameter()}, {}), second({b.parameter()}, {});
  base::ThreadPool pool(1);
  first.step(pool, 0.1, 0.25);
  second.step(pool, 0.1);
  EXPECT_EQ(a.value[0], b.value[0]);
  EXPECT_EQ(first.second_moment(0)[0], second.second_moment(0)[0]);
}

TEST(AdamW, SameBitsForEveryNumberOfThreads) {
  std::vector<std::vector<float>> results;
  std::vector<double> norms;
  for (int threads : {1, 2, 5}) {
    Toy toy;
    base::Random random(7);
    for (int i = 0; i < 200001; ++i) {
      toy.value.push_back(static_cast<float>(random.normal()));
      toy.gradient.push_back(static_cast<float>(random.normal()));
    }
    AdamW optimizer({toy.parameter()}, {.weight_decay = 0.1});
    base::ThreadPool pool(threads);
    for (int step = 0; step < 3; ++step) {
      norms.push_back(optimizer.gradient_norm(pool));
      optimizer.step(pool, 1e-2, 0.5);
    }
    results.push_back(toy.value);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(norms[0], norms[3]);
  EXPECT_EQ(norms[0], norms[6]);
  EXPECT_NEAR(norms[0], std::sqrt(200001.0), 5);
}

TEST(AdamW, NormAndClipping) {
  Toy toy{{0, 0}, {3, 4}, {}};
  AdamW optimizer({toy.parameter()}, {});
  base::ThreadPool pool(1);
  EXPECT_DOUBLE_EQ(optimizer.gradient_norm(pool), 5);
  EXPECT_DOUBLE_EQ(training::clip_factor(5, 1), 0.2);
  EXPECT_DOUBLE_EQ(training::clip_factor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(training::clip_factor(5, 0), 1);
  optimizer.clear_gradients(pool);
  EXPECT_DOUBLE_EQ(optimizer.gradient_norm(pool), 0);
}
