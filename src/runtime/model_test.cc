// The default model's quantized weights: sequences in one batch choose the tokens that each chooses alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "runtime/generate.h"

using namespace retort;
using namespace retort::runtime;

namespace {

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
      double difference = 0;
      for (size_t j = 0; j < single.size(); ++j) {
        double error = std::fabs(static_cast<double>(batched[i][j]) - single[j]);
        if (!(error <= difference)) difference = std::isnan(error) ? HUGE_VAL : error;
      }
      if (!(difference <= worst)) worst = difference;
      auto best = std::max_element(single.begin(), single.end()) - single.begin();
      auto in_batch = std::max_element(batched[i].begin(), batched[i].end()) - batched[i].begin();
      ASSERT_EQ(in_batch, best) << texts[i] << ", step " << step;
      next[i] = {static_cast<int32_t>(best)};
    }
  }
  // Activations in 8 bits: a value that rounds the other way moves a logit (of about 20) by a few hundredths.
  EXPECT_LE(worst, 0.25);
  RecordProperty("largest_difference", std::to_string(worst));
  std::printf("largest difference of a logit: %g\n", worst);
}
