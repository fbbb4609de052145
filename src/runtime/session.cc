#include "runtime/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace retort::runtime {

base::Result<Session> Session::create(const Model& model, Runner& runner, int64_t context, kernels::KvType kv_type) {
  if (context < 1) return base::fail(fmt::format("a session of {} positions: expected at least 1", context));
  RETORT_TRY(graph::KvCache cache, runner.make_cache(context, kv_type));
  return Session(model, runner, std::move(cache));
}

base::Result<Completion> Session::generate(std::span<const int32_t> prompt, const GenerationOptions& options,
                                           base::FunctionRef<void(std::string_view)> on_text) {
  if (prompt.empty()) return base::fail("the prompt is empty: there is nothing to continue");
  auto size = static_cast<int64_t>(prompt.size());
  if (size > context())
    return base::fail(fmt::format(
        "the prompt has {} tokens, the context holds {}: shorten it or ask for a larger context", size, context()));
  // At least the last token is computed: its logits are wanted.
  size_t limit = std::min(tokens_.size(), prompt.size() - 1), common = 0;
  while (common < limit && tokens_[common] == prompt[common]) ++common;

  std::vector<int32_t> held(prompt.begin(), prompt.end());
  GenerationOptions with_past = options;
  with_past.past = prompt.first(common);
  cache_.truncate(static_cast<int64_t>(common));
  base::Result<Completion> completion =
      runtime::generate(*model_, *runner_, cache_, prompt.subspan(common), with_past, on_text);
  if (!completion) {
    held.resize(static_cast<size_t>(cache_.length()));
    tokens_ = std::move(held);
    return completion;
  }
  held.insert(held.end(), completion->token_ids.begin(), completion->token_ids.end());
  held.resize(static_cast<size_t>(cache_.length()));
  tokens_ = std::move(held);
  completion->reused_tokens = static_cast<int64_t>(common);
  return completion;
}

void Session::clear() {
  cache_.truncate(0);
  tokens_.clear();
}

}  // namespace retort::runtime
