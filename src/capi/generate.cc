#include <fmt/format.h>

#include <atomic>

#include "capi/handles.h"
#include "text/model_template.h"

namespace base = retort::base;
namespace runtime = retort::runtime;

namespace {

runtime::GenerationOptions options_of(const retort_generation_options* given) {
  retort_generation_options options = retort::capi::with_defaults(given, retort_generation_defaults());
  runtime::GenerationOptions generation;
  generation.max_tokens = options.max_tokens;
  generation.sampling.temperature = options.temperature;
  generation.sampling.top_k = options.top_k;
  generation.sampling.top_p = options.top_p;
  generation.sampling.min_p = options.min_p;
  generation.sampling.repeat_penalty = options.repeat_penalty;
  generation.sampling.presence_penalty = options.presence_penalty;
  generation.sampling.frequency_penalty = options.frequency_penalty;
  generation.sampling.seed = options.seed;
  for (size_t i = 0; options.stops != nullptr && i < options.num_stops; ++i)
    if (options.stops[i] != nullptr) generation.stops.emplace_back(options.stops[i]);
  return generation;
}

int32_t code_of(runtime::FinishReason reason) {
  switch (reason) {
    case runtime::FinishReason::kStop:
      return RETORT_FINISH_STOP;
    case runtime::FinishReason::kLength:
      return RETORT_FINISH_LENGTH;
    case runtime::FinishReason::kCancelled:
      return RETORT_FINISH_CANCELLED;
  }
  return RETORT_FINISH_STOP;
}

base::Result<int> generate(retort_session* session, std::span<const int32_t> prompt,
                           const retort_generation_options* given, retort_on_text on_text, void* user,
                           retort_generation_result* result) {
  runtime::GenerationOptions options = options_of(given);
  std::atomic<bool> cancelled = false;
  options.cancelled = &cancelled;
  RETORT_TRY(runtime::Completion completion, session->session->generate(prompt, options, [&](std::string_view piece) {
    if (on_text == nullptr || cancelled) return;
    std::string terminated(piece);
    if (on_text(terminated.c_str(), terminated.size(), user) != 0) cancelled = true;
  }));
  if (result != nullptr) {
    retort_generation_result filled = {};
    filled.struct_bytes = result->struct_bytes < sizeof(filled) ? result->struct_bytes : sizeof(filled);
    filled.finish_reason = code_of(cancelled ? runtime::FinishReason::kCancelled : completion.finish_reason);
    filled.prompt_tokens = static_cast<int64_t>(prompt.size());
    filled.reused_tokens = completion.reused_tokens;
    filled.completion_tokens = static_cast<int64_t>(completion.token_ids.size());
    filled.first_token_ms = completion.first_token_ms;
    filled.decode_ms = completion.decode_ms;
    __builtin_memcpy(result, &filled, filled.struct_bytes);
  }
  return 0;
}

}  // namespace

retort_generation_options retort_generation_defaults(void) {
  return {sizeof(retort_generation_options), -1, 0.0f, 0, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 0, nullptr, 0};
}

int retort_generate(retort_session* session, const int32_t* prompt, int64_t prompt_tokens,
                    const retort_generation_options* options, retort_on_text on_text, void* user,
                    retort_generation_result* result) {
  return retort::capi::guarded<int>(-1, [&]() -> base::Result<int> {
    if (session == nullptr) return base::fail("retort_generate: the session is NULL");
    if (prompt == nullptr || prompt_tokens < 1)
      return base::fail("retort_generate: the prompt is empty: there is nothing to continue");
    return generate(session, {prompt, static_cast<size_t>(prompt_tokens)}, options, on_text, user, result);
  });
}

int retort_generate_text(retort_session* session, const char* prompt, const retort_generation_options* options,
                         retort_on_text on_text, void* user, retort_generation_result* result) {
  return retort::capi::guarded<int>(-1, [&]() -> base::Result<int> {
    if (session == nullptr) return base::fail("retort_generate_text: the session is NULL");
    if (prompt == nullptr) return base::fail("retort_generate_text: the prompt is NULL");
    std::vector<int32_t> ids = retort::text::encode_rendered(session->model->tokenizer(), prompt);
    return generate(session, ids, options, on_text, user, result);
  });
}
