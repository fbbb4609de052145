// The label scorer: one pass for everything gives what each label gives alone.
#include "tasks/classify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "runtime/model.h"

using namespace retort;
using namespace retort::tasks;

namespace {

using Tokens = std::vector<int32_t>;

Tokens random_tokens(size_t count, uint64_t seed) {
  base::Random random(seed);
  Tokens ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(256));
  return ids;
}

constexpr int32_t kEnd = 2;

class LabelScorerTest : public testing::TestWithParam<const char*> {
 protected:
  LabelScorerTest()
      : model_(runtime::Model::load(std::string(RETORT_SOURCE_DIR "/tests/golden/models/") + GetParam() + ".gguf")
                   .value()),
        pool_(2),
        runner_(model_->network(), pool_) {}

  LabelScorer create(const std::vector<Tokens>& labels, int64_t context = 400) {
    return LabelScorer::create(runner_, labels, context, kernels::KvType::kF32).value();
  }

  /// The sum over the label's tokens of their log-probability, from one plain forward pass of prompt and label.
  double alone(const Tokens& prompt, const Tokens& label) {
    graph::KvCache cache = runner_.make_cache(400, kernels::KvType::kF32).value();
    Tokens all = prompt;
    all.insert(all.end(), label.begin(), label.end());
    double sum = 0;
    runtime::Input input{&cache, all, runtime::Want::kAll};
    auto status = runner_.run({&input, 1}, [&](size_t, int64_t token, std::span<float> logits) {
      auto at = static_cast<size_t>(token);
      if (at + 1 < prompt.size() || at + 1 >= all.size()) return;
      double total = 0;
      for (float logit : logits) total += std::exp(static_cast<double>(logit));
      sum += static_cast<double>(logits[static_cast<size_t>(all[at + 1])]) - std::log(total);
    });
    EXPECT_TRUE(status);
    return sum;
  }

  void expect_alone(const LabelScores& scores, const Tokens& prompt, const std::vector<Tokens>& labels) {
    ASSERT_EQ(scores.log_probabilities.size(), labels.size());
    double best = -HUGE_VAL, sum = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
      double expected = alone(prompt, labels[i]), error = std::abs(scores.log_probabilities[i] - expected);
      EXPECT_TRUE(error <= 1e-3) << "label " << i << ": " << scores.log_probabilities[i] << ", expected " << expected;
      best = std::max(best, expected);
      sum += std::exp(expected);
    }
    for (size_t i = 0; i < labels.size(); ++i) {
      double error = std::abs(scores.probabilities[i] - std::exp(alone(prompt, labels[i])) / sum);
      EXPECT_TRUE(error <= 1e-3) << "label " << i;
    }
    EXPECT_NEAR(alone(prompt, labels[static_cast<size_t>(scores.best)]), best, 1e-3);
  }

  std::unique_ptr<runtime::Model> model_;
  base::ThreadPool pool_;
  runtime::Runner runner_;
};

/// One token and many, starts of others, common starts, without an end.
const std::vector<Tokens> kLabels = {
    {50, 60, 70, kEnd},      {50, kEnd},     {50, 60, kEnd}, {90, kEnd}, {91}, {50, 61, kEnd},
    {7, 8, 9, 10, 11, kEnd}, {7, 8, 9, kEnd}};

}  // namespace

TEST_P(LabelScorerTest, GivesWhatEachLabelGivesAlone) {
  LabelScorer scorer = create(kLabels);
  Tokens prompt = random_tokens(30, 1);
  auto scores = scorer.score(prompt);
  ASSERT_TRUE(scores) << scores.error().message;
  expect_alone(*scores, prompt, kLabels);
  EXPECT_NEAR(std::accumulate(scores->probabilities.begin(), scores->probabilities.end(), 0.0), 1, 1e-12);
  // Branches: 50 60 70, 50 61, 90, 7 8 9 10 11: what begins another label's tokens is not fed twice.
  EXPECT_EQ(scores->computed_tokens, 30 + 3 + 2 + 1 + 5);
}

TEST_P(LabelScorerTest, KeepsWhatPromptsShare) {
  LabelScorer scorer = create(kLabels);
  Tokens shared = random_tokens(20, 2);
  ASSERT_TRUE(scorer.hold(shared));
  for (uint64_t row = 0; row < 4; ++row) {
    Tokens prompt = shared;
    for (int32_t token : random_tokens(5 + 7 * row, 10 + row)) prompt.push_back(token);
    auto scores = scorer.score(prompt);
    ASSERT_TRUE(scores) << scores.error().message;
    EXPECT_LE(scores->computed_tokens, static_cast<int64_t>(prompt.size()) - 20 + 11);
    expect_alone(*scores, prompt, kLabels);
    auto again = scorer.score(prompt);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->computed_tokens, 1 + 11);
    expect_alone(*again, prompt, kLabels);
  }
  Tokens other = random_tokens(12, 3);
  expect_alone(scorer.score(other).value(), other, kLabels);
}

INSTANTIATE_TEST_SUITE_P(Models, LabelScorerTest, testing::Values("llama", "qwen2", "gemma3"));

using LabelScorerErrors = LabelScorerTest;
INSTANTIATE_TEST_SUITE_P(Models, LabelScorerErrors, testing::Values("llama"));

TEST_P(LabelScorerErrors, OneLabelIsCertain) {
  LabelScorer scorer = create({{5, kEnd}});
  EXPECT_EQ(scorer.score(random_tokens(4, 1)).value().probabilities, std::vector<double>{1});
}

TEST_P(LabelScorerErrors, AreRefused) {
  auto refused = [&](const std::vector<Tokens>& labels) {
    auto scorer = LabelScorer::create(runner_, labels, 100);
    return scorer ? std::string("accepted") : scorer.error().message;
  };
  EXPECT_EQ(refused({}), "there are no labels to choose from");
  EXPECT_EQ(refused({{1}, {}}), "label 2 has no tokens");
  EXPECT_EQ(refused({{1}, {2}, {1}}), "labels 1 and 3 have the same tokens");
  LabelScorer scorer = create(kLabels, 20);
  EXPECT_FALSE(scorer.score({}));
  EXPECT_FALSE(scorer.score(random_tokens(16, 1)));  // the longest label feeds 5
  EXPECT_FALSE(scorer.score(Tokens{1, 1 << 20}));
  Tokens prompt = random_tokens(15, 1);
  expect_alone(scorer.score(prompt).value(), prompt, kLabels);  // refusals leave no trace
}
