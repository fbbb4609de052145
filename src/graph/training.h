// Training: what a recording forward pass trains, and how it computes and saves memory.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "kernels/training.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// Immutable during a pass.
struct Training {
  kernels::Precision precision = kernels::Precision::kFloat32;  // of matrix products, where weights are not quantized

  /// The first layers, if nothing in or before them is trained: they leave nothing for the backward pass.
  int64_t blocks_frozen = 0;

  /// Layers after those whose activations are kept for the backward pass; those of later ones are computed again.
  int64_t blocks_kept = INT64_MAX;

  /// Where the gradient of each trained weight is summed, by the address of the weight's data; all others are frozen.
  std::unordered_map<const std::byte*, float*> gradients;

  /// Share of the inputs of low-rank additions that is left out, and what decides which: a function of this seed, the
  /// addition's id and the element, so that a layer computed again leaves out the same.
  float dropout = 0;
  uint64_t dropout_seed = 0;

  /// Null: frozen.
  float* gradient_of(const tensor::Tensor& weight) const {
    auto found = gradients.find(weight.data);
    return found == gradients.end() ? nullptr : found->second;
  }
};

}  // namespace retort::graph
