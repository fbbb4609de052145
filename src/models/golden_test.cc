// Each architecture against logits that transformers computed for a tiny random model (tools/make_model_goldens.py),
// with every instruction set, and the identities that must hold whatever the weights are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "formats/golden_gguf.h"
#include "models/language_model.h"

using namespace retort;

namespace {

constexpr double kTolerance = 2e-4;

struct Golden {
  formats::GgufFile file;
  std::unique_ptr<models::LanguageModel> model;
  std::vector<int32_t> ids;
  std::vector<float> logits;  // (ids, vocabulary)
};

Golden load(const std::string& name) {
  std::string stem = test::golden_folder() + name;
  formats::GgufFile file = test::golden_gguf(name);
  auto model = models::load_model(file);
  EXPECT_TRUE(model) << model.error().message;
  std::ifstream ids(stem + ".ids.json");
  auto list = nlohmann::json::parse(ids).get<std::vector<int32_t>>();
  std::vector<float> logits(list.size() * static_cast<size_t>((*model)->hyperparameters().vocabulary_size));
  std::ifstream in(stem + ".logits.f32", std::ios::binary);
  in.read(reinterpret_cast<char*>(logits.data()), static_cast<std::streamsize>(logits.size() * 4));
  EXPECT_TRUE(in);
  return {std::move(file), std::move(*model), std::move(list), std::move(logits)};
}

/// Logits of every position in one pass; without a cache as in training, or with an empty one.
std::vector<float> forward(const Golden& golden, const kernels::Kernels& kernels, int threads, graph::KvCache* cache) {
  base::ThreadPool pool(threads);
  graph::Workspace workspace(pool, kernels);
  graph::Graph graph(workspace);
  std::vector<int64_t> wanted(golden.ids.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  graph::Segment segment{0, static_cast<int64_t>(golden.ids.size()), 0, cache};
  graph::Var out = golden.model->logits(graph, {golden.ids, {&segment, 1}, wanted});
  return {out.data(), out.data() + out.rows() * out.cols()};
}

double worst(const std::vector<float>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return HUGE_VAL;
  double most = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    if (!(error <= most)) most = std::isnan(error) ? HUGE_VAL : error;
  }
  return most;
}

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, const kernels::Kernels*>> {};

}  // namespace

TEST_P(GoldenTest, LogitsMatchTransformers) {
  auto [name, kernels] = GetParam();
  Golden golden = load(name);
  ASSERT_FALSE(HasFailure());
  for (int threads : {1, 3}) EXPECT_LE(worst(forward(golden, *kernels, threads, nullptr), golden.logits), kTolerance);
  auto cache = graph::KvCache::create(golden.model->kv_shape(), 64, kernels::KvType::kF32);
  ASSERT_TRUE(cache);
  EXPECT_LE(worst(forward(golden, *kernels, 2, &*cache), golden.logits), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Architectures, GoldenTest,
                         testing::Combine(testing::ValuesIn(test::golden_names()),
                                          testing::ValuesIn(kernels::available().begin(), kernels::available().end())),
                         [](const auto& tested) {
                           std::string name =
                               std::get<0>(tested.param) + "_" + std::string(std::get<1>(tested.param)->name);
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

TEST(GoldenComparer, RefusesNan) {
  EXPECT_EQ(worst({std::nanf("")}, {0.0f}), HUGE_VAL);
  EXPECT_EQ(worst({0.0f, 0.0f}, {0.0f}), HUGE_VAL);
}

TEST(LoadModel, ReportsEveryTensorThatDoesNotFit) {
  // The llama file under qwen2's name: its keys are looked for under qwen2, and the first missing one is named.
  std::ifstream in(test::golden_folder() + "llama.gguf", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  auto patch = [&](const std::string& from, const std::string& to) {
    std::string copy = bytes;
    for (size_t at = copy.find(from); at != std::string::npos; at = copy.find(from, at + 1))
      copy.replace(at, from.size(), to);
    return copy;
  };
  auto error = [](const std::string& text) {
    auto file = formats::GgufFile::parse(std::as_bytes(std::span(text)), "test.gguf");
    if (!file) return file.error().message;
    auto model = models::load_model(*file);
    return model ? std::string("loaded") : model.error().message;
  };
  EXPECT_EQ(error(bytes), "loaded");
  EXPECT_EQ(error(patch("llama", "lamma")),
            "test.gguf: general.architecture is \"lamma\", known are gemma3, llama, qwen2, qwen3");
  std::string renamed = error(patch("blk.0.attn_q.weight", "blk.0.attn_x.weight"));
  EXPECT_NE(renamed.find(
                "tensor blk.0.attn_q.weight is missing; tensor blk.0.attn_x.weight is not part of this architecture"),
            std::string::npos)
      << renamed;
}
