// Hyperparameters: the numbers that define a decoder, read from a GGUF file's metadata.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"

namespace retort::models {

/// Checked on reading: everything is positive and within bounds that no real model exceeds, heads divide evenly, and
/// products of them fit comfortably in 64 bits. GGUF keys are given without their "ARCHITECTURE." prefix.
struct Hyperparameters {
  std::string architecture;        // general.architecture
  int64_t vocabulary_size = 0;     // rows of token_embd.weight
  int64_t context_length = 0;      // context_length: positions the model was trained for
  int64_t model_dim = 0;           // embedding_length
  int64_t hidden_dim = 0;          // feed_forward_length
  int num_layers = 0;              // block_count
  int num_heads = 0;               // attention.head_count
  int num_kv_heads = 0;            // attention.head_count_kv, default num_heads
  int head_dim = 0;                // attention.key_length, default model_dim / num_heads
  int rope_dim = 0;                // rope.dimension_count, default head_dim
  float norm_epsilon = 0;          // attention.layer_norm_rms_epsilon
  double rope_base = 10000;        // rope.freq_base
  double rope_base_local = 10000;  // rope.freq_base_swa: of the sliding-window layers
  double rope_scale = 1;           // 1 / rope.scaling.factor where rope.scaling.type is linear
  int64_t sliding_window = 0;      // attention.sliding_window, 0: none

  /// One line of the numbers that shapes follow from, for error messages.
  std::string summary() const;
};

base::Result<Hyperparameters> read_hyperparameters(const formats::GgufFile& file);

}  // namespace retort::models
