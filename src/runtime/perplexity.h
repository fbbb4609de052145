// Perplexity: how well a model predicts a text, measured the way llama.cpp's tool does so that figures compare.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"
#include "runtime/model.h"
#include "runtime/runner.h"

namespace retort::runtime {

struct PerplexityOptions {
  int64_t context = 512;    // tokens in a window; at least 4
  int64_t max_chunks = -1;  // windows; negative: all that the text fills
  kernels::KvType kv_type = kernels::KvType::kF16;
};

struct Perplexity {
  double perplexity = 0;      // exp of the mean negative log likelihood
  double standard_error = 0;  // of the perplexity
  int64_t tokens = 0;         // scored
  int64_t chunks = 0;
};

/// Cuts the text's tokens into windows of `context`, puts the model's BOS (if it uses one) in place of each window's
/// first token, and scores the tokens of each window's second half. `on_chunk` gets the figures so far after each
/// window. Fails when the text has fewer than two windows' tokens.
base::Result<Perplexity> measure_perplexity(const Model& model, Runner& runner, std::string_view text,
                                            const PerplexityOptions& options,
                                            base::FunctionRef<void(const Perplexity&)> on_chunk);

}  // namespace retort::runtime
