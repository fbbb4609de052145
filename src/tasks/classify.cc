#include "tasks/classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

namespace retort::tasks {
namespace {

/// exp(x) for x <= 0 to 4e-7, in operations that compilers turn into vector code: 2^n times a polynomial (Taylor) of
/// the rest.
inline float exp_of_nonpositive(float x) {
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = x > -87.0f ? x : -87.0f;  // NaN too: scores are checked once they are sums
  auto n = static_cast<int32_t>(x * kLog2e - 0.5f);
  auto whole = static_cast<float>(n);
  float r = x - whole * kLn2High - whole * kLn2Low;
  float p = 1 + r * (1 + r * (0.5f + r * (1 / 6.0f + r * (1 / 24.0f + r * (1 / 120.0f + r * (1 / 720.0f))))));
  return p * std::bit_cast<float>((n + 127) << 23);
}

/// log of the sum of exponentials.
double log_sum_exp(std::span<const float> logits) {
  constexpr size_t kBlock = 256;
  float block[kBlock], largest = -HUGE_VALF;
  std::fill_n(block, kBlock, largest);
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    size_t size = std::min(kBlock, logits.size() - begin);
    for (size_t i = 0; i < size; ++i) block[i] = logits[begin + i] > block[i] ? logits[begin + i] : block[i];
  }
  for (float value : block) largest = std::max(largest, value);
  double sum = 0;
  for (; !logits.empty(); logits = logits.subspan(std::min(kBlock, logits.size()))) {
    size_t size = std::min(kBlock, logits.size());
    for (size_t i = 0; i < size; ++i) block[i] = exp_of_nonpositive(logits[i] - largest);
    std::fill(block + size, block + kBlock, 0.0f);
    for (size_t half = kBlock / 2; half >= 1; half /= 2)
      for (size_t i = 0; i < half; ++i) block[i] += block[half + i];
    sum += static_cast<double>(block[0]);
  }
  return largest + std::log(sum);
}

/// What has to be fed to the model to read off the probability of a label: all but its last token.
std::span<const int32_t> fed(const std::vector<int32_t>& label) {
  return {label.data(), label.size() - 1};
}

}  // namespace

LabelScorer::LabelScorer(runtime::Runner& runner, graph::KvCache cache, std::vector<std::vector<int32_t>> labels)
    : runner_(&runner), cache_(std::move(cache)), labels_(std::move(labels)) {
  // Sorted, tokens that begin the next label's stand right before them: both are one branch.
  std::vector<size_t> order(labels_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::ranges::lexicographical_compare(fed(labels_[a]), fed(labels_[b])); });
  for (size_t label : order) {
    std::span<const int32_t> tokens = fed(labels_[label]);
    first_.push_back({label, labels_[label][0]});
    if (tokens.empty()) continue;
    if (branches_.empty() || tokens.size() < branches_.back().tokens.size() ||
        !std::ranges::equal(tokens.first(branches_.back().tokens.size()), branches_.back().tokens))
      branches_.emplace_back();
    Branch& branch = branches_.back();
    branch.tokens.assign(tokens.begin(), tokens.end());
    branch.wanted.resize(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) branch.wanted[i].push_back({label, labels_[label][i + 1]});
  }
}

base::Result<LabelScorer> LabelScorer::create(runtime::Runner& runner, std::vector<std::vector<int32_t>> labels,
                                              int64_t context, kernels::KvType kv_type) {
  if (labels.empty()) return base::fail("there are no labels to choose from");
  std::map<std::vector<int32_t>, size_t> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].empty()) return base::fail(fmt::format("label {} has no tokens", i + 1));
    auto [other, is_new] = seen.emplace(labels[i], i);
    if (!is_new) return base::fail(fmt::format("labels {} and {} have the same tokens", other->second + 1, i + 1));
  }
  RETORT_TRY(graph::KvCache cache, runner.make_cache(context, kv_type));
  return LabelScorer(runner, std::move(cache), std::move(labels));
}

size_t LabelScorer::keep_common(std::span<const int32_t> tokens, size_t limit) {
  limit = std::min({limit, held_.size(), tokens.size()});
  auto same = static_cast<size_t>(
      std::mismatch(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(limit), tokens.begin()).first -
      held_.begin());
  held_.resize(same);
  cache_.truncate(static_cast<int64_t>(same));
  return same;
}

base::Status LabelScorer::hold(std::span<const int32_t> tokens) {
  runtime::Input input{&cache_, tokens.subspan(keep_common(tokens, tokens.size())), runtime::Want::kNone};
  RETORT_TRY_STATUS(runner_->run({&input, 1}, [](size_t, int64_t, std::span<float>) {}));
  held_.assign(tokens.begin(), tokens.end());
  return {};
}

base::Result<LabelScores> LabelScorer::score(std::span<const int32_t> prompt) {
  if (prompt.empty()) return base::fail("the prompt is empty: there is nothing to answer");
  // The last token is always computed: its logits are wanted.
  size_t common = keep_common(prompt, prompt.size() - 1);
  std::vector<runtime::Input> inputs = {{&cache_, prompt.subspan(common), runtime::Want::kLast}};
  LabelScores scores;
  scores.computed_tokens = static_cast<int64_t>(prompt.size() - common);
  for (const Branch& branch : branches_) {
    inputs.push_back({&cache_, branch.tokens, runtime::Want::kAll, false});
    scores.computed_tokens += static_cast<int64_t>(branch.tokens.size());
  }
  scores.log_probabilities.assign(labels_.size(), 0.0);
  RETORT_TRY_STATUS(runner_->run(inputs, [&](size_t input, int64_t token, std::span<float> logits) {
    const std::vector<Wanted>& wanted = input == 0 ? first_ : branches_[input - 1].wanted[static_cast<size_t>(token)];
    if (wanted.empty()) return;
    double total = log_sum_exp(logits);
    for (const Wanted& want : wanted)
      scores.log_probabilities[want.label] += static_cast<double>(logits[static_cast<size_t>(want.token)]) - total;
  }));
  held_.assign(prompt.begin(), prompt.end());

  auto best = std::max_element(scores.log_probabilities.begin(), scores.log_probabilities.end());
  scores.best = best - scores.log_probabilities.begin();
  bool damaged = !std::isfinite(*best);
  for (double score : scores.log_probabilities) damaged = damaged || std::isnan(score);
  if (damaged) return base::fail("the model's logits are no finite numbers: its weights are damaged");
  double sum = 0;
  for (double score : scores.log_probabilities) {
    scores.probabilities.push_back(std::exp(score - *best));
    sum += scores.probabilities.back();
  }
  for (double& probability : scores.probabilities) probability /= sum;
  return scores;
}

}  // namespace retort::tasks
