// The loss of each architecture's tiny model and its gradient with respect to every weight, against PyTorch's
// (tools/make_model_goldens.py), with every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "formats/golden_gguf.h"
#include "graph/ops/cross_entropy.h"
#include "graph/training.h"
#include "models/language_model.h"

using namespace retort;

namespace {

nlohmann::json read_json(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

struct Outcome {
  double loss = 0;
  std::map<std::string, std::vector<float>> gradients;  // by tensor
};

/// Mean loss of every next token of `sequences` and the gradient of every weight. The first `shared` tokens, the same
/// in all of them, are computed once, and what they predict is not learned.
Outcome train_once(const formats::GgufFile& file, const models::LanguageModel& model, const kernels::Kernels& kernels,
                   const std::vector<std::vector<int32_t>>& sequences, graph::Training training, int64_t shared = 0) {
  base::ThreadPool pool(2);
  graph::Workspace workspace(pool, kernels);
  Outcome outcome;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    std::vector<float>& gradient = outcome.gradients[std::string(tensor.name)];
    gradient.resize(tensor.data.size() / 4);
    training.gradients[tensor.data.data()] = gradient.data();
  }
  std::vector<int32_t> tokens, targets;
  std::vector<graph::Segment> segments;
  std::vector<int64_t> wanted;
  if (shared > 0) {
    segments.push_back({0, shared, 0, nullptr});
    tokens.assign(sequences[0].begin(), sequences[0].begin() + shared);
  }
  for (const auto& ids : sequences) {
    auto first = static_cast<int64_t>(tokens.size()), count = static_cast<int64_t>(ids.size()) - shared;
    segments.push_back({first, count, shared, nullptr});
    for (int64_t i = 0; i + 1 < count; ++i) wanted.push_back(first + i);
    tokens.insert(tokens.end(), ids.begin() + shared, ids.end());
    targets.insert(targets.end(), ids.begin() + shared + 1, ids.end());
  }
  std::vector<float> weights(targets.size(), 1.0f);
  auto count = static_cast<float>(targets.size());
  graph::Graph graph(workspace, &training);
  graph::Var hidden = model.hidden(graph, {tokens, segments, wanted});
  outcome.loss = graph::cross_entropy(graph, hidden, model.head(), targets, weights, 1 / count) / count;
  graph.backward();
  return outcome;
}

/// |a - b| / |b|; NaN is the worst there is.
double distance(const std::vector<float>& a, const float* b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += static_cast<double>(b[i]) * b[i];
  }
  double relative = std::sqrt(error / norm);
  return std::isnan(relative) ? HUGE_VAL : relative;
}

class GradientGoldenTest : public testing::TestWithParam<std::tuple<std::string, const kernels::Kernels*>> {
 protected:
  void SetUp() override {
    auto [name, kernels] = GetParam();
    kernels_ = kernels;
    stem_ = test::golden_folder() + name;
    file_ = std::make_unique<formats::GgufFile>(test::golden_gguf(name));
    auto model = models::load_model(*file_);
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    ids_ = read_json(stem_ + ".ids.json").get<std::vector<int32_t>>();
  }
  Outcome train(const std::vector<std::vector<int32_t>>& sequences, const graph::Training& training = {},
                int64_t shared = 0) const {
    return train_once(*file_, *model_, *kernels_, sequences, training, shared);
  }
  /// Whether `both` is the mean of `one`, which counts `share`, and `two`.
  static void expect_mean(const Outcome& both, const Outcome& one, const Outcome& two, double share) {
    EXPECT_NEAR(both.loss, share * one.loss + (1 - share) * two.loss, 1e-4 * both.loss);
    for (const auto& [tensor, gradient] : both.gradients) {
      if (tensor == "rope_freqs.weight") continue;
      std::vector<float> mean = one.gradients.at(tensor);
      for (size_t i = 0; i < mean.size(); ++i)
        mean[i] = static_cast<float>(share * mean[i] + (1 - share) * two.gradients.at(tensor)[i]);
      EXPECT_LE(distance(gradient, mean.data()), 1e-3) << tensor;
    }
  }

  const kernels::Kernels* kernels_ = nullptr;
  std::string stem_;
  std::unique_ptr<formats::GgufFile> file_;
  std::unique_ptr<models::LanguageModel> model_;
  std::vector<int32_t> ids_;
};

}  // namespace

TEST_P(GradientGoldenTest, LossAndGradientsMatchPyTorch) {
  double loss = read_json(stem_ + ".loss.json").get<double>();
  std::ifstream in(stem_ + ".gradients.f32", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto* expected = reinterpret_cast<const float*>(bytes.data());

  auto check = [&](const graph::Training& training, double limit) {
    Outcome outcome = train({ids_}, training);
    EXPECT_LE(std::fabs(outcome.loss - loss) / loss, limit);
    size_t at = 0;
    for (const formats::GgufTensor& tensor : file_->tensors()) {
      if (tensor.name == "rope_freqs.weight") continue;  // not trained
      const std::vector<float>& gradient = outcome.gradients[std::string(tensor.name)];
      ASSERT_LE((at + gradient.size()) * 4, bytes.size());
      EXPECT_LE(distance(gradient, expected + at), limit) << tensor.name;
      at += gradient.size();
    }
    EXPECT_EQ(at * 4, bytes.size());
  };
  check({}, 1e-3);
  graph::Training recomputed;
  recomputed.blocks_kept = 1;
  check(recomputed, 1e-3);
  graph::Training bf16;
  bf16.precision = kernels::Precision::kBfloat16;
  check(bf16, 0.05);
}

TEST_P(GradientGoldenTest, SequencesInOneBatchGiveTheMeanOfEachAlone) {
  std::vector<int32_t> first(ids_.begin(), ids_.begin() + 11), second(ids_.begin() + 11, ids_.end());
  auto share = static_cast<double>(first.size() - 1) / static_cast<double>(ids_.size() - 2);
  expect_mean(train({first, second}), train({first}), train({second}), share);
}

TEST_P(GradientGoldenTest, ASharedBeginningGivesTheMeanOfWholeSequences) {
  std::vector<int32_t> first(ids_.begin(), ids_.begin() + 15), second(ids_.begin(), ids_.begin() + 9);
  for (size_t i = 15; i < std::min<size_t>(20, ids_.size()); ++i) second.push_back(ids_[i]);
  constexpr int64_t kShared = 9;
  auto a = static_cast<double>(first.size() - kShared - 1), b = static_cast<double>(second.size() - kShared - 1);
  expect_mean(train({first, second}, {}, kShared), train({first}, {}, kShared), train({second}, {}, kShared),
              a / (a + b));
  // Against the whole sequence in one segment, of which only what comes after the beginning is learned.
  base::ThreadPool pool(2);
  graph::Workspace workspace(pool, *kernels_);
  auto loss_of = [&](std::span<const graph::Segment> segments) {
    std::vector<int64_t> wanted;
    for (size_t row = kShared; row + 1 < first.size(); ++row) wanted.push_back(static_cast<int64_t>(row));
    std::vector<int32_t> targets(first.begin() + kShared + 1, first.end());
    std::vector<float> weights(targets.size(), 1.0f);
    graph::Graph graph(workspace);
    graph::Var hidden = model_->hidden(graph, {first, segments, wanted});
    return graph::cross_entropy(graph, hidden, model_->head(), targets, weights, 0);
  };
  auto count = static_cast<int64_t>(first.size());
  graph::Segment whole[] = {{0, count, 0, nullptr}},
                 cut[] = {{0, kShared, 0, nullptr}, {kShared, count - kShared, kShared, nullptr}};
  EXPECT_NEAR(loss_of(cut), loss_of(whole), 1e-5 * loss_of(whole));
}

INSTANTIATE_TEST_SUITE_P(Architectures, GradientGoldenTest,
                         testing::Combine(testing::ValuesIn(test::golden_names()),
                                          testing::ValuesIn(kernels::available().begin(), kernels::available().end())),
                         [](const auto& tested) {
                           std::string name =
                               std::get<0>(tested.param) + "_" + std::string(std::get<1>(tested.param)->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GradientComparer, RefusesNan) {
  float expected = 1;
  EXPECT_EQ(distance({NAN}, &expected), HUGE_VAL);
}
