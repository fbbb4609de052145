// Example: one training sequence: its tokens, and how much the prediction of each counts.
#pragma once

#include <cstdint>
#include <vector>

namespace retort::training {

/// What a row of a data file becomes. Both vectors have the same size.
struct Example {
  std::vector<int32_t> tokens;

  /// loss_weights[i] is the weight of predicting tokens[i] from tokens[0..i): 0 for the prompt's tokens and for the
  /// first token, usually 1 for the completion's, its end-of-turn token included.
  std::vector<float> loss_weights;

  /// 1-based row of the data file, for messages.
  int64_t line = 0;

  /// Tokens whose prediction counts.
  int64_t num_targets() const;
};

}  // namespace retort::training
