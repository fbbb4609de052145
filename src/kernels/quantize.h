// Quantization: floats to a stored type, for `retort quantize` and for q8_0 KV caches.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace retort::kernels {

/// Whether quantize_row writes this type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K.
bool can_quantize(tensor::DType dtype);

/// Writes n floats (a multiple of the type's block) as a stored row. Scales are chosen to keep the squared error small:
/// from the block's range for the 32-element types, by a search over candidate scales for the K types. NaN and
/// infinities in a block of a quantized type count as 0; beyond half's range F16 becomes infinite. RETORT_CHECKs
/// can_quantize(dtype).
void quantize_row(tensor::DType dtype, const float* x, void* row, int64_t n);

}  // namespace retort::kernels
