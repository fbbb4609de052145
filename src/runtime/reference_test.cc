// Real models against llama.cpp with each instruction set of this machine: greedy continuations token by token, and
// perplexity (tools/make_reference_goldens.py).
// Needs the models' files; a test is skipped only by naming it away, never because a file is missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/test_files.h"
#include "kernels/kernels.h"
#include "runtime/model.h"
#include "runtime/perplexity.h"
#include "runtime/runner.h"

using namespace retort;
using namespace retort::runtime;
using retort::test::read_file;

namespace {

// Logits this close change places with the last bit of a sum. A choice is also right where the two tokens are that
// close when llama.cpp computes with the same weights in F32 (7 of the 768 steps beyond those that are ties anyway): it
// rounds activations to eight bits as we do, and leaves its own F32 choice at gaps of up to 0.4.
constexpr double kNearTie = 0.3;
constexpr double kPerplexity = 0.005;  // relative; measured differences are below 0.003
constexpr int64_t kMostExactTies = 1;  // of a model's 192 steps may be ties in F32 alone
constexpr int64_t kMostTies = 24;      // of 192 steps: more would mean that ties hide something

const std::string kGoldens = RETORT_SOURCE_DIR "/tests/golden/reference/";

std::string models_folder() {
  const char* home = std::getenv("RETORT_HOME");
  return (home != nullptr ? std::string(home) : std::string(std::getenv("HOME")) + "/.cache/retort") + "/models/";
}

using NameAndKernels = std::tuple<const char*, const kernels::Kernels*>;

class Reference : public testing::TestWithParam<NameAndKernels> {
 protected:
  void SetUp() override {
    const auto& [name, kernels] = GetParam();
    golden_ = nlohmann::json::parse(read_file(kGoldens + std::string(name) + ".json"));
    auto model = Model::load(models_folder() + golden_["file"].get<std::string>());
    ASSERT_TRUE(model) << model.error().message << ": `make models` gets it";
    model_ = std::move(*model);
    runner_ = std::make_unique<Runner>(model_->network(), pool_, *kernels);
  }

  nlohmann::json golden_;
  base::ThreadPool pool_{2};
  std::unique_ptr<Model> model_;
  std::unique_ptr<Runner> runner_;
};

/// Each step is judged behind llama.cpp's own tokens, so that one near-tie does not end the comparison.
TEST_P(Reference, ChoosesTheTokensOfLlamaCpp) {
  int64_t steps = 0, ties = 0, exact_ties = 0;
  for (const auto& prompt : golden_["continuations"]) {
    auto text = prompt["prompt"].get<std::string>();
    std::vector<int32_t> ids = model_->tokenizer().encode(text);
    ASSERT_EQ(ids, prompt["ids"].get<std::vector<int32_t>>()) << text;
    auto cache = runner_->make_cache(static_cast<int64_t>(ids.size() + prompt["steps"].size()));
    ASSERT_TRUE(cache) << cache.error().message;
    for (const auto& step : prompt["steps"]) {
      auto best = step[0].get<int32_t>();
      Input input{&*cache, ids, Want::kLast};
      int32_t chosen = -1;
      auto status = runner_->run({&input, 1}, [&](size_t, int64_t, std::span<float> logits) {
        chosen = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      });
      ASSERT_TRUE(status) << status.error().message;
      ++steps;
      if (chosen != best) {
        ++ties;
        bool tie = step[2].get<double>() < kNearTie;
        bool exact_tie = !tie && chosen == step[1].get<int32_t>() && step[3].get<double>() < kNearTie;
        exact_ties += exact_tie ? 1 : 0;
        EXPECT_TRUE(tie || exact_tie) << text << ": " << chosen << " instead of " << best << " of " << step;
      }
      ids = {best};
    }
  }
  EXPECT_GE(steps, 100);
  EXPECT_LE(ties, kMostTies);
  EXPECT_LE(exact_ties, kMostExactTies);
}

using ReferencePerplexity = Reference;

TEST_P(ReferencePerplexity, IsThatOfLlamaCpp) {
  const auto& expected = golden_["perplexity"];
  PerplexityOptions options;
  options.context = expected["context"].get<int64_t>();
  options.max_chunks = expected["chunks"].get<int64_t>();
  auto measured = measure_perplexity(*model_, *runner_, read_file(kGoldens + expected["text"].get<std::string>()),
                                     options, [](const Perplexity&) {});
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->chunks, options.max_chunks);
  double error = measured->perplexity / expected["value"].get<double>() - 1;
  EXPECT_TRUE(std::fabs(error) <= kPerplexity) << measured->perplexity << " instead of " << expected["value"];
}

std::string test_name(const testing::TestParamInfo<NameAndKernels>& info) {
  std::string name = std::string(std::get<0>(info.param)) + "_" + std::string(std::get<1>(info.param)->name);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

using Tables = std::vector<const kernels::Kernels*>;

Tables tables_that(bool (*wanted)(const kernels::Kernels&)) {
  Tables tables;
  for (const kernels::Kernels* table : kernels::available())
    if (wanted(*table)) tables.push_back(table);
  return tables;
}

/// With a table that is not fast a text takes minutes, and with the scalar one a sentence.
bool is_vector(const kernels::Kernels& table) {
  return &table != kernels::available().front();
}
bool is_fast(const kernels::Kernels& table) {
  return &table == kernels::available().back() || table.name == "avx2" || table.name == "neon";
}

auto on(const std::vector<const char*>& models, const Tables& tables) {
  return testing::Combine(testing::ValuesIn(models), testing::ValuesIn(tables));
}

const Tables kAll = tables_that([](const kernels::Kernels&) { return true; });
const Tables kVector = tables_that(is_vector);
const Tables kScalar = tables_that([](const kernels::Kernels& table) { return !is_vector(table); });
const Tables kFast = tables_that(is_fast);
const Tables kRest = tables_that([](const kernels::Kernels& table) { return !is_fast(table); });
const std::vector<const char*> kDefault = {"smollm2-135m"};
const std::vector<const char*> kLarger = {"gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"};

INSTANTIATE_TEST_SUITE_P(Default, Reference, on(kDefault, kAll), test_name);
INSTANTIATE_TEST_SUITE_P(Default, ReferencePerplexity, on(kDefault, kVector), test_name);
INSTANTIATE_TEST_SUITE_P(Larger, Reference, on(kLarger, kVector), test_name);
INSTANTIATE_TEST_SUITE_P(Larger, ReferencePerplexity, on(kLarger, kFast), test_name);
INSTANTIATE_TEST_SUITE_P(Slow, Reference, on(kLarger, kScalar), test_name);
INSTANTIATE_TEST_SUITE_P(Slow, ReferencePerplexity, on(kLarger, kRest), test_name);
INSTANTIATE_TEST_SUITE_P(SlowDefault, ReferencePerplexity, on(kDefault, kScalar), test_name);

}  // namespace
