// Session: one conversation with a model: what its KV cache holds, and generation that computes only what is new.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "graph/kv_cache.h"
#include "runtime/generate.h"
#include "runtime/model.h"
#include "runtime/runner.h"

namespace retort::runtime {

/// Not thread-safe: one generation at a time. The model and the runner must outlive it; sessions may share both as long
/// as they take turns.
class Session {
 public:
  /// `context` positions at most; refuses fewer than one, and more than the address space has room for.
  static base::Result<Session> create(const Model& model, Runner& runner, int64_t context,
                                      kernels::KvType kv_type = kernels::KvType::kF16);

  /// Generates behind `prompt`, which is the whole of it: the longest beginning that the session still holds from
  /// before is not computed again (Completion::reused_tokens), the rest of what it held is forgotten. Fails, and keeps
  /// what it holds, when an option is out of range, a token is unknown or the prompt does not fit the context.
  base::Result<Completion> generate(std::span<const int32_t> prompt, const GenerationOptions& options,
                                    base::FunctionRef<void(std::string_view)> on_text);

  /// The tokens whose keys and values are held, oldest first.
  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t context() const { return cache_.capacity(); }
  /// Forgets everything.
  void clear();

 private:
  Session(const Model& model, Runner& runner, graph::KvCache cache)
      : model_(&model), runner_(&runner), cache_(std::move(cache)) {}

  const Model* model_;
  Runner* runner_;
  graph::KvCache cache_;
  std::vector<int32_t> tokens_;  // cache_.length() of them
};

}  // namespace retort::runtime
