// PassBatch: examples laid out for one forward pass, what they begin with in common computed once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/batch.h"
#include "training/example.h"

namespace retort::training {

/// The rows of one pass. Examples of a task begin alike (the system prompt, the instruction): since attention looks
/// back only, those tokens' activations are the same in all of them, and their gradient is the sum of what each example
/// sends back. They stand once, as the first segment; the others go on from there. Nothing changes but rounding.
struct PassBatch {
  std::vector<int32_t> tokens;
  std::vector<graph::Segment> segments;
  std::vector<size_t> sources;   // of each segment: an example that it is of, by its place among those given
  std::vector<int64_t> wanted;   // rows that predict
  std::vector<int32_t> targets;  // what each of them is to predict
  std::vector<float> weights;    // how much that counts
  int64_t num_shared = 0;        // tokens of the common beginning

  /// `share`: whether to look for a common beginning. What follows an example's last learned token, and that token
  /// itself, is left out: nothing depends on it.
  PassBatch(std::span<const Example* const> examples, bool share);

  /// A view; this must outlive it.
  graph::Batch batch() const { return {tokens, segments, wanted}; }
};

/// Rows that PassBatch has for an example on its own: its tokens up to the last that predicts a learned one.
int64_t useful_length(const Example& example);

/// Tokens that all examples of a useful length begin with, as PassBatch shares them.
int64_t shared_length(std::span<const Example* const> examples);

/// Rows that PassBatch has for these examples.
int64_t count_rows(std::span<const Example* const> examples, bool share);

}  // namespace retort::training
