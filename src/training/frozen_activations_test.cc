// Kept activations give what computing the frozen layers gives, and a run that uses them is a function of its settings.
#include "training/frozen_activations.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <numeric>

#include "base/test_files.h"
#include "formats/golden_gguf.h"
#include "training/trainer.h"

namespace retort::training {
namespace {

using test::fresh_folder;
using test::golden_gguf;

/// Nine tokens in common, two more in common by pairs; one example that nothing is learned of.
Dataset dataset() {
  Dataset data;
  for (int32_t i = 0; i < 8; ++i) {
    Example example{{5, 6, 7, 8, 9, 10, 11, 12, 13, 20 + i / 2, 30 + i / 2}, {}, i + 1};
    for (int32_t k = 0; k <= i; ++k) example.tokens.push_back(40 + 3 * i + k);
    example.tokens.push_back(100 + i);
    example.loss_weights.assign(example.tokens.size(), 0);
    if (i != 3) example.loss_weights.back() = 1;
    data.longest = std::max(data.longest, static_cast<int64_t>(example.tokens.size()));
    data.num_tokens += static_cast<int64_t>(example.tokens.size());
    data.examples.push_back(example);
  }
  return data;
}

std::vector<float> values(const graph::Var& var) {
  return {var.data(), var.data() + var.rows() * var.cols()};
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_LE(std::fabs(a[i] - b[i]), tolerance) << what << ", element " << i;
}

TrainerOptions options() {
  TrainerOptions options;
  options.epochs = 4;
  options.batch.max_examples = 3;
  options.learning_rate = 0.01;
  options.precision = kernels::Precision::kFloat32;
  options.checkpoint_every = 2;
  return options;
}

TEST(FrozenActivations, GiveWhatTheLayersGive) {
  Dataset data = dataset();
  for (const char* name : {"llama", "qwen2", "gemma3"}) {
    formats::GgufFile file = golden_gguf(name);
    auto model = models::load_model(file);
    ASSERT_TRUE(model);
    base::ThreadPool pool(2);
    graph::Workspace workspace(pool, kernels::active());
    int64_t layers = (*model)->hyperparameters().num_layers;
    for (int64_t frozen : {int64_t{1}, layers - 1, layers}) {
      auto kept = FrozenActivations::create(fresh_folder("frozen_activations_test_layers"), data, **model, frozen);
      ASSERT_TRUE(kept) << kept.error().message;
      for (std::vector<int64_t> pass : {std::vector<int64_t>{0}, {1, 2}, {3}, {4, 5, 6, 7}})
        ASSERT_TRUE(kept->compute(workspace, graph::Rounding::kNone, pass));
      for (std::vector<int64_t> pass :
           {std::vector<int64_t>{6, 7}, {2}, {3, 0, 5}, {4, 3, 1}, {0, 1, 2, 3, 4, 5, 6, 7}})
        for (bool share : {false, true}) {
          std::vector<const Example*> picked;
          picked.reserve(pass.size());
          for (int64_t index : pass) picked.push_back(&data.examples[static_cast<size_t>(index)]);
          PassBatch batch(picked, share);
          graph::Graph whole(workspace), upper(workspace);
          ASSERT_TRUE(kept->begin(upper, batch, pass));
          expect_near(values((*model)->hidden(upper, batch.batch())), values((*model)->hidden(whole, batch.batch())),
                      1e-4, std::string(name) + " after " + std::to_string(frozen));
        }
    }
  }
}

TEST(FrozenActivations, ARunWithThemLearnsTheSame) {
  formats::GgufFile file = golden_gguf("qwen2");  // 3 layers
  Dataset data = dataset();
  auto train = [&](bool full, ActivationCache cache, double epochs, int64_t max_steps, bool resume) {
    std::string folder = testing::TempDir() + "frozen_activations_test_run";
    if (!resume) fresh_folder("frozen_activations_test_run");
    auto student = full ? Student::full(file, {.bfloat16 = false, .last_layers = 1})
                        : Student::lora(file, {.rank = 4, .last_layers = 1});
    EXPECT_EQ((*student)->num_frozen_layers(), 2);
    base::ThreadPool pool(2);
    TrainerOptions settings = options();
    settings.epochs = epochs;
    settings.activation_cache = cache;
    settings.resume = resume;
    if (full) settings.learning_rate = 1e-4;
    std::atomic<bool> stop = false;
    settings.cancelled = &stop;
    Trainer trainer(**student, pool, data, data, folder, settings);
    auto summary = trainer.run([&](const LogRow& row, int64_t) { stop = row.step == max_steps; });
    EXPECT_TRUE(summary) << summary.error().message;
    std::vector<float> result;
    for (const OptimizerParameter& parameter : (*student)->parameters())
      result.insert(result.end(), parameter.value.begin(), parameter.value.end());
    return std::pair(summary->layers_cached, result);
  };
  for (bool full : {false, true}) {
    auto [none, computed] = train(full, ActivationCache::kOff, 4, 0, false);
    auto [two, kept] = train(full, ActivationCache::kAuto, 4, 0, false);
    EXPECT_EQ(none, 0);
    EXPECT_EQ(two, 2);
    expect_near(kept, computed, 1e-3, "parameters");
    train(full, ActivationCache::kOn, 4, 5, false);
    EXPECT_EQ(train(full, ActivationCache::kOn, 4, 0, true).second, kept);
  }
  EXPECT_EQ(train(false, ActivationCache::kAuto, 1, 0, false).first, 0);  // would be read once
}

TEST(FrozenActivations, NothingFrozenAndNoRoom) {
  formats::GgufFile file = golden_gguf("llama");
  Dataset data = dataset(), nothing;
  auto whole = Student::lora(file, {.rank = 4});
  EXPECT_EQ((*whole)->num_frozen_layers(), 0);
  base::ThreadPool pool(1);
  TrainerOptions settings = options();
  settings.activation_cache = ActivationCache::kOn;
  auto summary =
      Trainer(**whole, pool, data, nothing, fresh_folder("frozen_activations_test_nothing"), settings).run({});
  ASSERT_FALSE(summary);
  EXPECT_NE(summary.error().message.find("--last-layers"), std::string::npos) << summary.error().message;

  auto missing = FrozenActivations::create("/no/such/folder", data, (*whole)->model(), 1);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/no/such/folder"), std::string::npos) << missing.error().message;

  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_IGN);
  rlimit small{1024, old.rlim_max};  // as on a full disk
  setrlimit(RLIMIT_FSIZE, &small);
  std::string folder = fresh_folder("frozen_activations_test_full");
  auto full = FrozenActivations::create(folder, data, (*whole)->model(), 1);
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("--cache-activations off"), std::string::npos) << full.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

}  // namespace
}  // namespace retort::training
