// Dequantization: stored rows as floats. The reference that every faster kernel is tested against.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace retort::kernels {

/// Writes the n elements of a stored row to out; n is a multiple of the type's block. The row needs no alignment.
void dequantize_row(tensor::DType dtype, const void* row, float* out, int64_t n);

}  // namespace retort::kernels
