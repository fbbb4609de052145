#include "runtime/generate.h"

#include <algorithm>
#include <chrono>

#include "runtime/stop_matcher.h"

namespace retort::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

base::Result<Completion> generate(const Model& model, Runner& runner, graph::KvCache& cache,
                                  std::span<const int32_t> prompt, const GenerationOptions& options,
                                  base::FunctionRef<void(std::string_view)> on_text) {
  Clock::time_point start = Clock::now();
  if (prompt.empty()) return base::fail("the prompt is empty: there is nothing to continue");
  RETORT_TRY_STATUS(fits(cache, static_cast<int64_t>(prompt.size())));
  RETORT_TRY(Sampler sampler, Sampler::create(options.sampling, model.hyperparameters().vocabulary_size));
  for (int32_t id : options.past) sampler.accept(id);
  for (int32_t id : prompt) sampler.accept(id);
  text::StreamingDecoder decoder(model.tokenizer());
  StopMatcher matcher(options.stops);
  Completion completion;
  int64_t room = cache.capacity() - cache.length() - static_cast<int64_t>(prompt.size()) + 1;
  completion.token_ids.reserve(static_cast<size_t>(options.max_tokens < 0 ? room : std::min(room, options.max_tokens)));
  auto emit = [&](const std::string& text) {
    if (text.empty()) return;
    completion.text += text;
    on_text(text);
  };

  int32_t next = 0;
  auto sample = [&](size_t, int64_t, std::span<float> logits) { next = sampler.sample(logits); };
  auto count = [&] { return static_cast<int64_t>(completion.token_ids.size()); };
  auto cancelled = [&] { return options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed); };
  std::span<const int32_t> input = prompt;
  Clock::time_point first_token = start;
  completion.finish_reason = FinishReason::kLength;
  while (options.max_tokens < 0 || count() < options.max_tokens) {
    // A long prompt goes in by chunks, so that a user who changes their mind does not wait for all of it; the last one
    // is not so short that it would be taken for something else.
    while (static_cast<int64_t>(input.size()) > runner.chunk_tokens() && !cancelled()) {
      auto most = static_cast<int64_t>(input.size()) - Runner::kShortInput - 1;
      auto size = static_cast<size_t>(std::min(runner.chunk_tokens(), most));
      Input chunk{&cache, input.first(size), Want::kNone};
      RETORT_TRY_STATUS(runner.run({&chunk, 1}, sample));
      input = input.subspan(size);
    }
    if (cancelled()) {
      completion.finish_reason = FinishReason::kCancelled;
      break;
    }
    if (count() > 0 && cache.length() == cache.capacity()) break;
    Input step{&cache, input, Want::kLast};
    RETORT_TRY_STATUS(runner.run({&step, 1}, sample));
    if (count() == 0) {
      completion.first_token_ms = completion.prefill_ms = ms_since(start);
      first_token = Clock::now();
    }
    sampler.accept(next);
    completion.token_ids.push_back(next);
    input = {&next, 1};
    if (model.tokenizer().ends_generation(next)) {
      completion.finish_reason = FinishReason::kStop;
      break;
    }
    emit(matcher.push(decoder.push(next)));
    if (matcher.stopped()) break;
  }
  completion.decode_ms = count() > 0 ? ms_since(first_token) : 0;
  if (!matcher.stopped()) emit(matcher.push(decoder.finish()));
  emit(matcher.finish());
  if (matcher.stopped()) completion.finish_reason = FinishReason::kStop;
  return completion;
}

}  // namespace retort::runtime
