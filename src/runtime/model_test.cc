// The default model's quantized weights: sequences in one batch choose the tokens that each chooses alone,
// unless the two best are nearer to each other than the kernels' rounding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "runtime/generate.h"

using namespace retort;
using namespace retort::runtime;

namespace {

/// One sequence and many go through kernels that add in another order. The last bit of a sum decides now and then how
/// an activation is rounded to 8 bits, and thirty layers make tenths of a logit (of about 20) of that; root mean square
/// over the vocabulary.
constexpr double kTolerance = 0.35;
constexpr float kNearTie = 0.6f;  // two logits, each moved that way

std::string model_path() {
  if (const char* path = std::getenv("RETORT_TEST_MODEL")) return path;
  const char* home = std::getenv("RETORT_HOME");
  std::string folder = home != nullptr ? home : std::string(std::getenv("HOME")) + "/.cache/retort";
  return folder + "/models/smollm2-135m-instruct-q4_1.gguf";
}

}  // namespace

TEST(DefaultModel, ABatchChoosesWhatEachSequenceChoosesAlone) {
  auto model = Model::load(model_path());
  ASSERT_TRUE(model) << model.error().message;
  base::ThreadPool pool(2);
  Runner runner((*model)->network(), pool);
  const std::vector<std::string> texts = {"The capital of France is",
                                          "def fibonacci(n):\n    ",
                                          "Water boils at",
                                          "Once upon a time, in a small village by the sea, there lived",
                                          "1, 2, 3, 4,",
                                          "The opposite of hot is",
                                          "Dear Sir or Madam,\n\n"};
  std::vector<graph::KvCache> alone, together;
  std::vector<std::vector<int32_t>> next;
  for (const std::string& text : texts) {
    next.push_back((*model)->tokenizer().encode(text));
    alone.push_back(*runner.make_cache(64));
    together.push_back(*runner.make_cache(64));
  }
  double worst = 0;
  for (int step = 0; step < 16; ++step) {
    std::vector<Input> inputs;
    for (size_t i = 0; i < texts.size(); ++i) inputs.push_back({&together[i], next[i], Want::kLast});
    std::vector<std::vector<float>> batched(texts.size());
    ASSERT_TRUE(runner.run(
        inputs, [&](size_t i, int64_t, std::span<float> logits) { batched[i].assign(logits.begin(), logits.end()); }));
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<float> single;
      Input input{&alone[i], next[i], Want::kLast};
      ASSERT_TRUE(runner.run(
          {&input, 1}, [&](size_t, int64_t, std::span<float> logits) { single.assign(logits.begin(), logits.end()); }));
      double sum = 0, squares = 0;
      for (size_t j = 0; j < single.size(); ++j) {
        double error = static_cast<double>(batched[i][j]) - single[j];
        sum += error;
        squares += error * error;
      }
      auto count = static_cast<double>(single.size());
      double rms = std::sqrt(squares / count - (sum / count) * (sum / count));  // a shift of all changes nothing
      if (!(rms <= worst)) worst = rms;
      auto best = std::max_element(single.begin(), single.end()) - single.begin();
      auto in_batch = std::max_element(batched[i].begin(), batched[i].end()) - batched[i].begin();
      EXPECT_LE(single[static_cast<size_t>(best)] - single[static_cast<size_t>(in_batch)], kNearTie)
          << texts[i] << ", step " << step << ": another token, and not by a near-tie";
      next[i] = {static_cast<int32_t>(best)};
    }
  }
  EXPECT_LE(worst, kTolerance);
  RecordProperty("largest_difference", std::to_string(worst));
}
