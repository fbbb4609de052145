#include "runtime/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/sampler.h"

namespace retort::runtime {
namespace {

/// log of the probability of `token` under `logits`.
double log_probability(std::span<const float> logits, int32_t token) {
  float largest = logits[static_cast<size_t>(likeliest(logits))];
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - largest);
  return static_cast<double>(logits[static_cast<size_t>(token)]) - largest - std::log(sum);
}

}  // namespace

base::Result<Perplexity> measure_perplexity(const Model& model, Runner& runner, std::string_view text,
                                            const PerplexityOptions& options,
                                            base::FunctionRef<void(const Perplexity&)> on_chunk) {
  int64_t context = options.context;
  if (context < 4) return base::fail(fmt::format("a window of {} tokens is too small, expected at least 4", context));
  std::vector<int32_t> ids = model.tokenizer().encode(text);
  auto count = static_cast<int64_t>(ids.size());
  if (count < 2 * context)
    return base::fail(fmt::format(
        "the text has {} tokens, expected at least {}: two windows of {}; give more text or a smaller --context", count,
        2 * context, context));
  int64_t chunks = count / context;
  if (options.max_chunks >= 0) chunks = std::min(chunks, options.max_chunks);
  RETORT_TRY(graph::KvCache cache, runner.make_cache(context, options.kv_type));

  Perplexity result;
  double sum = 0, squares = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    std::vector<int32_t> window(ids.begin() + chunk * context, ids.begin() + (chunk + 1) * context);
    if (model.tokenizer().adds_bos()) window[0] = *model.tokenizer().vocabulary().bos;
    cache.truncate(0);
    // The first half only fills the cache; of the second, the last token has nothing after it to score.
    auto half = static_cast<size_t>(context / 2);
    std::span<const int32_t> all = window;
    Input first{&cache, all.first(half), Want::kNone};
    Input second{&cache, all.subspan(half, window.size() - half - 1), Want::kAll};
    auto score = [&](size_t, int64_t token, std::span<float> logits) {
      double loss = -log_probability(logits, window[half + static_cast<size_t>(token) + 1]);
      sum += loss;
      squares += loss * loss;
      ++result.tokens;
    };
    RETORT_TRY_STATUS(runner.run({&first, 1}, score));
    RETORT_TRY_STATUS(runner.run({&second, 1}, score));
    ++result.chunks;
    auto n = static_cast<double>(result.tokens);
    double mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
    result.perplexity = std::exp(mean);
    result.standard_error = n > 1 ? result.perplexity * std::sqrt(variance / (n - 1)) : 0;
    on_chunk(result);
  }
  return result;
}

}  // namespace retort::runtime
