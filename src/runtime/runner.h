// Runner: feeds tokens of one or many sequences through a model and hands out logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "graph/graph.h"
#include "graph/kv_cache.h"
#include "models/language_model.h"

namespace retort::runtime {

/// Which logits a caller wants of the tokens it feeds.
enum class Want : uint8_t { kNone, kLast, kAll };

/// Tokens to append to one sequence, whose past is in `cache`.
struct Input {
  graph::KvCache* cache = nullptr;
  std::span<const int32_t> tokens;
  Want want = Want::kLast;
  /// False: an alternative. It continues the sequence in `cache` as the call's kept inputs leave it, sees no other
  /// alternative, and leaves nothing behind: many answers to one prompt are tried in the prompt's own pass.
  bool kept = true;
};

/// Fails, saying what to do, when `count` more tokens do not fit the cache.
base::Status fits(const graph::KvCache& cache, int64_t count);

/// Runs forward passes; owns the memory they need and keeps it. Not thread-safe: one Runner per thread that decodes,
/// each with a ThreadPool of its own. `model`, `pool` and `kernels` must outlive it.
class Runner {
 public:
  /// Inputs of more tokens are prompts, which may be rounded for speed (kernels::LinearArgs::may_round), as long as the
  /// model's weights are quantized.
  static constexpr int64_t kShortInput = 16;

  Runner(const models::LanguageModel& model, base::ThreadPool& pool,
         const kernels::Kernels& kernels = kernels::active());

  /// Called with the index of the input, the index of the token within it, and the (vocabulary) logits of what follows
  /// that token; the callee may change them, and must copy what it keeps.
  using OnLogits = base::FunctionRef<void(size_t input, int64_t token, std::span<float> logits)>;

  /// Appends every input's tokens to its sequence and reports the wanted logits, by input and by token, in order. One
  /// pass over the weights serves neighbouring inputs of one kind: prompts or shorter ones. Long inputs are cut into
  /// chunks to bound memory. Each sequence gets what it would get alone, but for the order of fp32 sums: what is
  /// rounded depends on its own input alone. Alternatives come after all that is kept, and have at most chunk_tokens().
  /// Fails, before anything is computed, when a sequence does not fit its cache or a token is not in the vocabulary.
  /// After the first calls of one shape, nothing is allocated.
  base::Status run(std::span<const Input> inputs, OnLogits on_logits);

  /// Whether prompts may be rounded for speed (at first they may). Not, when logits are compared with another
  /// program's.
  void set_may_round(bool may_round) { may_round_ = may_round; }

  /// A cache of the model's shape.
  base::Result<graph::KvCache> make_cache(int64_t capacity, kernels::KvType type = kernels::KvType::kF16) const {
    return graph::KvCache::create(model_.kv_shape(), capacity, type);
  }

  /// Tokens of one forward pass at most, 256 to 512: activations stay within tens of MiB, while unpacking a tile of
  /// weights is still spread over many tokens.
  int64_t chunk_tokens() const { return chunk_tokens_; }

  const models::LanguageModel& model() const { return model_; }
  base::ThreadPool& pool() { return workspace_.pool(); }

 private:
  /// Tokens of an input that the chunk being built can still take, of `count` left.
  int64_t room(const Input& input, int64_t count) const;
  void run_chunk(bool prompts, OnLogits on_logits);
  /// Whether `input`, one of `inputs`, is a prompt, or the alternative to what continues one.
  static bool is_prompt(std::span<const Input> inputs, const Input& input);

  const models::LanguageModel& model_;
  int64_t chunk_tokens_;
  bool quantized_;  // weights of products are
  bool may_round_ = true;
  graph::Workspace workspace_;
  // Of the chunk being built: kept to reuse their memory.
  std::vector<int32_t> tokens_;
  std::vector<graph::Segment> segments_;
  std::vector<int64_t> wanted_;
  struct Origin {
    size_t input;
    int64_t token;
  };
  std::vector<Origin> origins_;
};

}  // namespace retort::runtime
