#include "runtime/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace retort::runtime {

int32_t likeliest(std::span<const float> logits) {
  // Block by block: the maxima of lanes become vector instructions, and only the best block is searched for the token.
  // NaN compares false with everything and so is never chosen.
  constexpr size_t kLanes = 16, kBlock = 1024;
  float largest = -std::numeric_limits<float>::infinity();
  size_t best = 0, best_end = 0;  // the block, empty when nothing is above minus infinity
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    size_t end = std::min(begin + kBlock, logits.size()), i = begin;
    float lanes[kLanes];
    for (float& lane : lanes) lane = largest;
    for (; i + kLanes <= end; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
    for (; i < end; ++i) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    float most = *std::max_element(lanes, lanes + kLanes);
    if (!(most > largest)) continue;
    largest = most;
    best = begin;
    best_end = end;
  }
  auto found = std::find(logits.begin() + static_cast<std::ptrdiff_t>(best),
                         logits.begin() + static_cast<std::ptrdiff_t>(best_end), largest);
  return static_cast<int32_t>(found - logits.begin());
}

base::Result<Sampler> Sampler::create(const SamplingOptions& o, int64_t vocabulary_size) {
  auto check = [](bool ok, const char* name, double value, const char* rule) -> base::Status {
    if (ok) return {};
    return base::fail(fmt::format("{} is {}, expected {}", name, value, rule));
  };
  RETORT_TRY_STATUS(
      check(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature, "0 or more"));
  RETORT_TRY_STATUS(check(o.top_k >= 0, "top-k", o.top_k, "0 or more"));
  RETORT_TRY_STATUS(check(o.top_p > 0 && o.top_p <= 1, "top-p", o.top_p, "more than 0, at most 1"));
  RETORT_TRY_STATUS(check(o.min_p >= 0 && o.min_p <= 1, "min-p", o.min_p, "0 to 1"));
  RETORT_TRY_STATUS(check(o.repeat_penalty > 0 && std::isfinite(o.repeat_penalty), "repeat-penalty", o.repeat_penalty,
                          "more than 0"));
  RETORT_TRY_STATUS(check(std::isfinite(o.presence_penalty), "presence-penalty", o.presence_penalty, "a number"));
  RETORT_TRY_STATUS(check(std::isfinite(o.frequency_penalty), "frequency-penalty", o.frequency_penalty, "a number"));
  RETORT_TRY_STATUS(
      check(o.penalty_window >= 0 && o.penalty_window <= (1 << 20), "penalty window", o.penalty_window, "0 to 2^20"));
  for (const auto& [id, bias] : o.logit_bias)
    RETORT_TRY_STATUS(
        check(id >= 0 && id < vocabulary_size && !std::isnan(bias), "logit-bias token", id, "one of the vocabulary"));
  return Sampler(o, vocabulary_size);
}

Sampler::Sampler(const SamplingOptions& options, int64_t vocabulary_size) : options_(options), random_(options.seed) {
  recent_.resize(static_cast<size_t>(options.penalty_window));
  counts_.reserve(recent_.size());
  if (options.temperature > 0) candidates_.reserve(static_cast<size_t>(vocabulary_size));
}

void Sampler::accept(int32_t token) {
  if (recent_.empty()) return;
  recent_[recent_at_] = token;
  recent_at_ = (recent_at_ + 1) % recent_.size();
  recent_size_ = std::min(recent_size_ + 1, recent_.size());
}

void Sampler::penalize(std::span<float> logits) {
  if (options_.repeat_penalty == 1 && options_.presence_penalty == 0 && options_.frequency_penalty == 0) return;
  counts_.clear();
  for (size_t i = 0; i < recent_size_; ++i) counts_.emplace_back(recent_[i], 1);
  std::sort(counts_.begin(), counts_.end());
  for (size_t i = 0; i < counts_.size();) {
    size_t next = i;
    while (next < counts_.size() && counts_[next].first == counts_[i].first) ++next;
    int32_t id = counts_[i].first;
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) {
      float& logit = logits[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
      logit -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(next - i);
    }
    i = next;
  }
}

int32_t Sampler::sample(std::span<float> logits) {
  for (const auto& [id, bias] : options_.logit_bias) logits[static_cast<size_t>(id)] += bias;
  penalize(logits);

  const int32_t best = likeliest(logits);
  const float largest = logits[static_cast<size_t>(best)];
  if (options_.temperature == 0 || !std::isfinite(largest)) return best;

  // Nothing below exp(-40) of the likeliest, before or after the temperature, could be drawn or change a sum.
  candidates_.clear();
  float floor = largest - std::max(40.0f, 40.0f * options_.temperature);
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] >= floor) candidates_.push_back({logits[i], static_cast<int32_t>(i)});

  auto by_rank = [this](size_t count) {  // the first `count` candidates in order, the rest behind them
    count = std::min(count, candidates_.size());
    auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
    if (count < candidates_.size()) std::nth_element(candidates_.begin(), middle, candidates_.end());
    std::sort(candidates_.begin(), middle);
  };
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    by_rank(static_cast<size_t>(options_.top_k));
    candidates_.resize(static_cast<size_t>(options_.top_k));
  }
  if (options_.top_p < 1) {
    double total = 0;
    for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit) - largest);
    double reached = 0;
    size_t sorted = 0, kept = 0;
    while (kept < candidates_.size() && reached < options_.top_p * total) {
      if (kept == sorted) {  // sort a few more: most of the probability is in few tokens
        sorted = std::min(candidates_.size(), std::max<size_t>(64, 4 * sorted));
        by_rank(sorted);
      }
      reached += std::exp(static_cast<double>(candidates_[kept++].logit) - largest);
    }
    candidates_.resize(std::max<size_t>(kept, 1));
  }
  if (options_.min_p > 0) {
    double least = largest + std::log(static_cast<double>(options_.min_p));
    std::erase_if(candidates_, [least](const Candidate& c) { return c.logit < least; });
  }
  double total = 0;
  for (const Candidate& c : candidates_)
    total += std::exp((static_cast<double>(c.logit) - largest) / options_.temperature);
  double draw = random_.uniform() * total;
  for (const Candidate& c : candidates_) {
    draw -= std::exp((static_cast<double>(c.logit) - largest) / options_.temperature);
    if (draw < 0) return c.id;
  }
  return candidates_.back().id;
}

}  // namespace retort::runtime
