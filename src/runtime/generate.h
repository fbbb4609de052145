// Generation: a prompt goes in, text comes out piece by piece.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "runtime/model.h"
#include "runtime/runner.h"
#include "runtime/sampler.h"

namespace retort::runtime {

struct GenerationOptions {
  SamplingOptions sampling;
  int64_t max_tokens = -1;                       // completion tokens; negative: until the context is full
  std::span<const int32_t> past;                 // tokens before the prompt, for the penalties
  std::vector<std::string> stops;                // the text ends before any of these
  const std::atomic<bool>* cancelled = nullptr;  // checked before every token and chunk of the prompt
};

enum class FinishReason : uint8_t {
  kStop,    // the model ended its answer, or a stop string was met
  kLength,  // max_tokens or the context was reached
  kCancelled,
};

/// "stop", "length" or "cancelled".
std::string_view name(FinishReason reason);

struct Completion {
  std::string text;
  std::vector<int32_t> token_ids;  // all that were sampled, the one that ended generation included
  FinishReason finish_reason = FinishReason::kStop;
  int64_t reused_tokens = 0;  // of the prompt, that a Session held from before
  double prefill_ms = 0;      // the prompt's forward pass
  double first_token_ms = 0;  // from the call to the first sampled token
  double decode_ms = 0;       // from the first sampled token to the last
};

/// Appends `prompt` (at least one token) to the sequence in `cache` and generates. `on_text` gets each piece of text as
/// soon as it is certain, always whole characters. The cache holds the prompt and all but the last sampled token
/// afterwards (when cancelled in the prompt, or with max_tokens of 0, less: see its length). A full cache ends the
/// answer with kLength; nothing is ever dropped from it to make room. Fails, before anything is computed, when an
/// option is out of range or the prompt does not fit.
base::Result<Completion> generate(const Model& model, Runner& runner, graph::KvCache& cache,
                                  std::span<const int32_t> prompt, const GenerationOptions& options,
                                  base::FunctionRef<void(std::string_view)> on_text);

}  // namespace retort::runtime
