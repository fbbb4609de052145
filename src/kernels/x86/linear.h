// The choice of the kernel for each weight type.
// The including file includes its lanes.h and defines Isa (x86/tile.h) first.
#pragma once

#include "kernels/simd/float_linear.h"
#include "kernels/x86/tile.h"

namespace {

template <class V>
void any_linear(const retort::kernels::LinearArgs& args) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return float_linear<V>(args);
    case DType::kQ4_0:
      return tile_linear<Q4_0>(args);
    case DType::kQ4_1:
      return tile_linear<Q4_1>(args);
    case DType::kQ5_0:
      return tile_linear<Q5_0>(args);
    case DType::kQ5_1:
      return tile_linear<Q5_1>(args);
    case DType::kQ8_0:
      return tile_linear<Q8_0>(args);
    case DType::kQ2_K:
      return tile_linear<Q2_K>(args);
    case DType::kQ3_K:
      return tile_linear<Q3_K>(args);
    case DType::kQ4_K:
      return tile_linear<Q4_K>(args);
    case DType::kQ5_K:
      return tile_linear<Q5_K>(args);
    case DType::kQ6_K:
      return tile_linear<Q6_K>(args);
    case DType::kIQ4_NL:
      return tile_linear<IQ4_NL>(args);
    case DType::kIQ4_XS:
      return tile_linear<IQ4_XS>(args);
  }
}

int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t) {
  if (!retort::tensor::info(dtype).quantized) return 0;
  return in_features * kLaneCount + 2 * 4 * (in_features / 16) * kLaneCount;  // the finest scales: one per 16
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return kLaneCount;
}

}  // namespace
