// Every operation's gradient against finite differences of its own forward pass, summed in double.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "graph/ops/attention.h"
#include "graph/ops/cross_entropy.h"
#include "graph/ops/elementwise.h"
#include "graph/ops/linear.h"
#include "graph/ops/rope.h"
#include "graph/training.h"

using namespace retort;
using graph::Graph;
using graph::Var;

namespace {

/// A trained matrix: its values, and its gradient.
struct Weight {
  int64_t rows, cols;
  std::vector<float> values, gradient;

  Weight(int64_t rows_in, int64_t cols_in, base::Random& random, double spread = 1)
      : rows(rows_in), cols(cols_in), values(static_cast<size_t>(rows * cols)), gradient(values.size()) {
    for (float& v : values) v = static_cast<float>(spread * random.normal());
  }
  tensor::Tensor tensor() const {
    return {tensor::DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data())};
  }
};

/// What is under test: a function of the weights, through a graph.
using Function = std::function<Var(Graph&)>;

class Check {
 public:
  Check(std::vector<Weight*> weights, Function function)
      : weights_(std::move(weights)), function_(std::move(function)) {}

  /// Relative error of the gradient with respect to each weight, the worst of all.
  double worst(const kernels::Kernels& kernels, int threads, float dropout = 0) {
    base::ThreadPool pool(threads);
    graph::Workspace workspace(pool, kernels);
    graph::Training training;
    training.dropout = dropout;
    for (Weight* w : weights_) {
      std::fill(w->gradient.begin(), w->gradient.end(), 0.0f);
      training.gradients[w->tensor().data] = w->gradient.data();
    }
    {
      Graph graph(workspace, &training);
      Var out = function_(graph);
      base::Random random(99);
      coefficients_.resize(static_cast<size_t>(out.rows() * out.cols()));
      for (double& c : coefficients_) c = random.normal();
      graph::Gradient gradient(out);
      EXPECT_TRUE(gradient.needed());
      float* to = gradient.sum().data;
      for (size_t i = 0; i < coefficients_.size(); ++i) to[i] = static_cast<float>(coefficients_[i]);
      graph.backward();
    }
    EXPECT_EQ(workspace.arena().used_bytes(), 0);
    double most = 0;
    for (Weight* w : weights_) {
      double norm = 0, error = 0;
      for (size_t i = 0; i < w->values.size(); ++i) {
        // The five-point stencil: its error falls with the fourth power of the step.
        constexpr float kStep = 1.0f / 32;
        float before = w->values[i];
        auto at = [&](float offset) {
          w->values[i] = before + offset;
          Graph plain(workspace, &training);
          return sum(function_(plain));
        };
        double slope = (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
        w->values[i] = before;
        norm += slope * slope;
        error += (slope - w->gradient[i]) * (slope - w->gradient[i]);
      }
      double relative = std::sqrt(error / norm);
      if (!(relative <= most)) most = std::isnan(relative) ? HUGE_VAL : relative;
    }
    return most;
  }

 private:
  double sum(const Var& out) const {
    double total = 0;
    for (size_t i = 0; i < coefficients_.size(); ++i) total += coefficients_[i] * out.data()[i];
    return total;
  }

  std::vector<Weight*> weights_;
  Function function_;
  std::vector<double> coefficients_;
};

/// A weight's values as a Var that passes its gradient on.
Var leaf(Graph& graph, const Weight& weight) {
  static thread_local std::vector<int32_t> ids;
  if (ids.size() < static_cast<size_t>(weight.rows)) {
    ids.resize(static_cast<size_t>(weight.rows));
    std::iota(ids.begin(), ids.end(), 0);
  }
  return graph::embedding(graph, weight.tensor(), {ids.data(), static_cast<size_t>(weight.rows)});
}

class GradientTest : public testing::TestWithParam<std::tuple<const kernels::Kernels*, int>> {
 protected:
  void expect_right(std::vector<Weight*> weights, const Function& function, float dropout = 0) {
    auto [kernels, threads] = GetParam();
    EXPECT_LE(Check(std::move(weights), function).worst(*kernels, threads, dropout), 1e-3);
  }
  base::Random random_{7};
};

}  // namespace

TEST_P(GradientTest, AddAndScale) {
  Weight a(5, 33, random_), b(5, 33, random_);
  expect_right({&a, &b}, [&](Graph& g) {
    Var x = leaf(g, a), y = leaf(g, b);
    return (x + y) + graph::scale(g, x, -1.5f);
  });
}

TEST_P(GradientTest, Gated) {
  Weight a(4, 37, random_), b(4, 37, random_);
  for (kernels::Activation activation : {kernels::Activation::kSilu, kernels::Activation::kGeluTanh})
    expect_right({&a, &b}, [&](Graph& g) { return graph::gated(g, activation, leaf(g, a), leaf(g, b)); });
}

TEST_P(GradientTest, RmsNorm) {
  Weight x(70, 24, random_), row(1, 24, random_), head(1, 8, random_);
  expect_right({&x, &row}, [&](Graph& g) { return graph::rms_norm(g, leaf(g, x), row.tensor(), 1e-5f); });
  expect_right({&x, &head}, [&](Graph& g) { return graph::rms_norm(g, leaf(g, x), head.tensor(), 1e-5f); });
}

TEST_P(GradientTest, EmbeddingAndRows) {
  Weight table(6, 9, random_);
  std::vector<int32_t> ids = {3, 0, 3, 5};
  std::vector<int64_t> wanted = {0, 2};
  expect_right({&table}, [&](Graph& g) { return graph::rows(g, graph::embedding(g, table.tensor(), ids), wanted); });
}

TEST_P(GradientTest, LinearWithBiasAndLowRank) {
  Weight x(7, 40, random_), w(21, 40, random_), bias(1, 21, random_), a(3, 40, random_), b(21, 3, random_);
  graph::LinearWeights weights{w.tensor(), bias.tensor(), {{a.tensor(), b.tensor(), 0.5f, 4}}};
  expect_right({&x, &w, &bias, &a, &b}, [&](Graph& g) { return graph::linear(g, leaf(g, x), weights); });
  expect_right({&a, &b}, [&](Graph& g) { return graph::linear(g, leaf(g, x), weights); });
  expect_right(
      {&x, &w, &a, &b}, [&](Graph& g) { return graph::linear(g, leaf(g, x), weights); }, 0.3f);
}

TEST_P(GradientTest, Rope) {
  Weight x(6, 32, random_);
  std::vector<int32_t> tokens(6);
  graph::Segment segments[] = {{0, 4, 0, nullptr}, {4, 2, 0, nullptr}};
  for (kernels::RopeLayout layout : {kernels::RopeLayout::kInterleaved, kernels::RopeLayout::kHalves})
    expect_right({&x}, [&](Graph& g) {
      graph::Rope rope{layout, 12, 100, 1, nullptr};
      graph::Batch batch{tokens, segments, {}};
      return graph::apply_rope(g, leaf(g, x), 16, rope, graph::rope_angles(g, rope, batch));
    });
}

TEST_P(GradientTest, Attention) {
  Weight q(13, 32, random_), k(13, 16, random_), v(13, 16, random_);
  std::vector<int32_t> tokens(13);
  graph::Segment segments[] = {{0, 4, 0, nullptr}, {4, 9, 0, nullptr}};
  for (int64_t window : {0, 3})
    expect_right({&q, &k, &v}, [&](Graph& g) {
      return graph::attention(g, leaf(g, q), leaf(g, k), leaf(g, v), {4, 2, 8, 0.4f, window}, 0,
                              {tokens, segments, {}});
    });
}

TEST_P(GradientTest, AttentionToASharedBeginning) {
  Weight q(13, 32, random_), k(13, 16, random_), v(13, 16, random_);
  std::vector<int32_t> tokens(13);
  graph::Segment segments[] = {{0, 5, 0, nullptr}, {5, 2, 5, nullptr}, {7, 6, 5, nullptr}};
  for (int64_t window : {0, 3, 7})
    expect_right({&q, &k, &v}, [&](Graph& g) {
      return graph::attention(g, leaf(g, q), leaf(g, k), leaf(g, v), {4, 2, 8, 0.4f, window}, 0,
                              {tokens, segments, {}});
    });
}

TEST_P(GradientTest, LongAttentionIsTheSameInBlocksOfQueries) {
  // 150 queries are more than one block: checked on the weights that all of them share.
  Weight x(150, 6, random_), w(16, 6, random_, 0.5);
  graph::LinearWeights weights{w.tensor(), {}, {}};
  std::vector<int32_t> tokens(150);
  graph::Segment segment{0, 150, 0, nullptr};
  for (int64_t window : {0, 20})
    expect_right({&w}, [&](Graph& g) {
      Var y = graph::linear(g, leaf(g, x), weights);
      return graph::attention(g, y, graph::scale(g, y, 0.5f), y + y, {1, 1, 16, 0.3f, window}, 0,
                              {tokens, {&segment, 1}, {}});
    });
}

TEST_P(GradientTest, CrossEntropy) {
  auto [kernels, threads] = GetParam();
  constexpr int64_t kVocabulary = 2100;  // more than one block
  Weight hidden(3, 8, random_), head(kVocabulary, 8, random_, 0.3);
  std::vector<int32_t> targets = {5, 2099, 2048};
  std::vector<float> weights = {1, 0.5f, 2};
  base::ThreadPool pool(threads);
  graph::Workspace workspace(pool, *kernels);
  graph::Training training;
  for (Weight* w : {&hidden, &head}) training.gradients[w->tensor().data] = w->gradient.data();
  graph::LinearWeights matrix{head.tensor(), {}, {}};
  auto loss = [&](const graph::Training* recorded, float scale) {
    Graph graph(workspace, recorded);
    Var h = leaf(graph, hidden);
    double value = graph::cross_entropy(graph, h, matrix, targets, weights, scale);
    if (recorded != nullptr) graph.backward();
    return value;
  };
  double value = loss(&training, 0.25f), expected = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    double sum = 0, target = 0;
    for (int64_t t = 0; t < kVocabulary; ++t) {
      double logit = 0;
      for (int64_t j = 0; j < 8; ++j)
        logit += static_cast<double>(hidden.values[i * 8 + static_cast<size_t>(j)]) *
                 head.values[static_cast<size_t>(t * 8 + j)];
      sum += std::exp(logit);
      if (t == targets[i]) target = logit;
    }
    expected += weights[i] * (std::log(sum) - target);
  }
  EXPECT_NEAR(value, expected, 1e-4);
  std::vector<float> with_head = hidden.gradient;
  training.gradients.erase(head.tensor().data);  // a frozen head takes another way to the same gradient
  std::fill(hidden.gradient.begin(), hidden.gradient.end(), 0.0f);
  EXPECT_NEAR(loss(&training, 0.25f), expected, 1e-4);
  for (size_t i = 0; i < with_head.size(); ++i) EXPECT_NEAR(hidden.gradient[i], with_head[i], 1e-5);
  for (Weight* w : {&hidden, &head}) {
    double norm = 0, error = 0;
    for (size_t i = 0; i < w->values.size(); i += w == &head ? 97 : 1) {
      constexpr float kStep = 1.0f / 16;
      float before = w->values[i];
      auto at = [&](float offset) {
        w->values[i] = before + offset;
        return loss(nullptr, 0);
      };
      double slope = (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
      w->values[i] = before;
      norm += slope * slope;
      error += std::pow(slope - w->gradient[i] / 0.25, 2);
    }
    EXPECT_LE(std::sqrt(error / norm), 2e-3);
  }
}

/// In bf16 a trained head's exponentials are kept as far as there is room: here those of one block of three.
TEST_P(GradientTest, CrossEntropyInBfloat16) {
  auto [kernels, threads] = GetParam();
  constexpr int64_t kRows = 9000, kVocabulary = 4200;
  Weight hidden(kRows, 8, random_), head(kVocabulary, 8, random_, 0.3);
  std::vector<int32_t> targets(kRows);
  for (int32_t& target : targets) target = static_cast<int32_t>(random_.below(kVocabulary));
  std::vector<float> weights(kRows, 1.0f);
  base::ThreadPool pool(threads);
  graph::Workspace workspace(pool, *kernels);
  std::vector<float> exact;
  for (auto precision : {kernels::Precision::kFloat32, kernels::Precision::kBfloat16}) {
    graph::Training training;
    training.precision = precision;
    for (Weight* w : {&hidden, &head}) {
      std::fill(w->gradient.begin(), w->gradient.end(), 0.0f);
      training.gradients[w->tensor().data] = w->gradient.data();
    }
    {
      Graph graph(workspace, &training);
      graph::cross_entropy(graph, leaf(graph, hidden), {head.tensor(), {}, {}}, targets, weights, 1);
      graph.backward();
    }
    EXPECT_EQ(workspace.arena().used_bytes(), 0);
    std::vector<float> all = hidden.gradient;
    all.insert(all.end(), head.gradient.begin(), head.gradient.end());
    if (exact.empty()) {
      exact = all;
      continue;
    }
    // By blocks, so that an error in one of them is not lost in the others.
    for (size_t begin = 0; begin < all.size(); begin += 2048 * 8) {
      double norm = 0, error = 0;
      for (size_t i = begin; i < std::min(begin + 2048 * 8, all.size()); ++i) {
        norm += std::pow(exact[i], 2);
        error += std::pow(all[i] - exact[i], 2);
      }
      EXPECT_LE(std::sqrt(error / norm), 0.01) << begin;
    }
  }
}

TEST_P(GradientTest, RecomputedBlocksGiveTheSameGradients) {
  auto [kernels, threads] = GetParam();
  Weight x(7, 32, random_), w(32, 32, random_, 0.2);
  graph::LinearWeights weights{w.tensor(), {}, {}};
  std::vector<std::vector<float>> gradients;
  for (int64_t kept : {INT64_MAX, int64_t{1}, int64_t{0}}) {
    base::ThreadPool pool(threads);
    graph::Workspace workspace(pool, *kernels);
    graph::Training training;
    training.blocks_kept = kept;
    std::vector<float> dx(x.values.size()), dw(w.values.size());
    training.gradients[x.tensor().data] = dx.data();
    training.gradients[w.tensor().data] = dw.data();
    {
      Graph graph(workspace, &training);
      Var y = leaf(graph, x);
      for (int i = 0; i < 3; ++i)
        y = graph.block(y, [&graph, &weights](const Var& in) {
          Var z = graph::linear(graph, in, weights);
          return in + graph::gated(graph, kernels::Activation::kSilu, z, graph::scale(graph, in, 0.5f));
        });
      graph::Gradient gradient(y);
      float* to = gradient.sum().data;
      for (int64_t i = 0; i < y.rows() * y.cols(); ++i) to[i] = static_cast<float>(i % 5) - 2;
      graph.backward();
    }
    EXPECT_EQ(workspace.arena().used_bytes(), 0);
    dx.insert(dx.end(), dw.begin(), dw.end());
    gradients.push_back(dx);
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

INSTANTIATE_TEST_SUITE_P(Kernels, GradientTest,
                         testing::Combine(testing::ValuesIn(kernels::available().begin(), kernels::available().end()),
                                          testing::Values(1, 2)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param)->name) + "_" +
                                  std::to_string(std::get<1>(tested.param));
                         });
