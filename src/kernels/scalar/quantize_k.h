// Quantizers of the 256-element K types: a search for the scales that lose least.
#pragma once

#include "tensor/blocks.h"

namespace retort::kernels {

/// Quantizes 256 finite floats. Each group's scale (and minimum) minimises the squared error over a grid of candidates,
/// each refined by least squares, with larger values weighing more; then the groups' scales are quantized themselves,
/// and the quants are chosen anew for the scales as stored.
void quantize_block(const float* x, tensor::BlockQ4_K& block);
void quantize_block(const float* x, tensor::BlockQ5_K& block);
void quantize_block(const float* x, tensor::BlockQ6_K& block);

}  // namespace retort::kernels
