// Benchmark: how fast a model runs here: prompts, single tokens, and several sequences at once, each beside the limit
// that the machine sets.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "runtime/model.h"
#include "runtime/roof.h"
#include "runtime/runner.h"

namespace retort::runtime {

struct BenchmarkOptions {
  int64_t prompt = 512;               // tokens of the prompt; at least 1
  int64_t generate = 64;              // tokens decoded after it; at least 1
  std::vector<int64_t> batches = {};  // numbers of sequences to decode together; each at least 1
  int repeat = 3;                     // runs of each; the best counts
  kernels::KvType kv_type = kernels::KvType::kF16;
};

struct BatchSpeed {
  int64_t sequences = 0;
  double tokens_per_s = 0;  // of all sequences together
};

struct BenchmarkResult {
  double first_token_ms = 0;        // the very first forward pass, 8 tokens, with weights not yet mapped in
  double prefill_tokens_per_s = 0;  // prompt tokens, the logits of the last one included
  double decode_tokens_per_s = 0;   // greedy, at the positions that follow the prompt
  std::vector<BatchSpeed> batches;  // at the positions that follow a prompt of at most 128 tokens
};

/// Runs a fixed pseudo-random prompt. `runner` should be fresh, so that the first token is measured cold. Fails when
/// prompt and generation do not fit a KV cache.
base::Result<BenchmarkResult> run_benchmark(const Model& model, Runner& runner, const BenchmarkOptions& options);

/// What a forward pass costs: the basis of a model's roofs.
struct ModelCost {
  int64_t weight_bytes = 0;    // read per decoded token: every matrix but the input embedding, and the output head
  int64_t layer_products = 0;  // multiply-adds per token, without the head
  int64_t head_products = 0;   // multiply-adds of the head, per row whose logits are wanted
};
ModelCost model_cost(const models::LanguageModel& model);

/// Tokens per second if nothing but `peak_gops` (of 8-bit operations) or the read bandwidth limited it.
double prefill_roof(const ModelCost& cost, double peak_gops, int64_t prompt);
double decode_roof(const ModelCost& cost, const Roof& roof);
/// The lower of the two limits, for `sequences` that share each pass over the weights.
double batch_roof(const ModelCost& cost, const Roof& roof, double peak_gops, int64_t sequences);

}  // namespace retort::runtime
