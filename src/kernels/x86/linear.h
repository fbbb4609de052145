// The choice of the kernel for each weight type.
// The including file defines dot_u8s8 and Isa (x86/gemv.h, x86/tile.h) first.
#pragma once

#include "kernels/simd/float_linear.h"
#include "kernels/x86/gemv.h"
#include "kernels/x86/tile.h"

namespace {

constexpr int64_t kTileFromTokens = 4;

template <class T>
void quantized_linear(const retort::kernels::LinearArgs& args) {
  if constexpr (!Isa::kFewTokensElsewhere) {
    switch (args.num_tokens) {
      case 1:
        return gemv<T, 1>(args);
      case 2:
        return gemv<T, 2>(args);
      case 3:
        return gemv<T, 3>(args);
      default:
        break;
    }
  }
  if (args.num_tokens > 0) tile_linear<T>(args);
}

template <class V>
void any_linear(const retort::kernels::LinearArgs& args) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return float_linear<V>(args);
    case DType::kQ4_0:
      return quantized_linear<Q4_0>(args);
    case DType::kQ4_1:
      return quantized_linear<Q4_1>(args);
    case DType::kQ5_0:
      return quantized_linear<Q5_0>(args);
    case DType::kQ5_1:
      return quantized_linear<Q5_1>(args);
    case DType::kQ8_0:
      return quantized_linear<Q8_0>(args);
    case DType::kQ2_K:
      return quantized_linear<Q2_K>(args);
    case DType::kQ3_K:
      return quantized_linear<Q3_K>(args);
    case DType::kQ4_K:
      return quantized_linear<Q4_K>(args);
    case DType::kQ5_K:
      return quantized_linear<Q5_K>(args);
    case DType::kQ6_K:
      return quantized_linear<Q6_K>(args);
    case DType::kIQ4_NL:
      return quantized_linear<IQ4_NL>(args);
    case DType::kIQ4_XS:
      return quantized_linear<IQ4_XS>(args);
  }
}

int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized || num_tokens < kTileFromTokens) return 0;
  return in_features * Isa::kRows + 2 * 4 * (in_features / 16) * Isa::kRows;  // the finest scales: one per 16
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return num_tokens < kTileFromTokens ? 8 : Isa::kRows;
}

}  // namespace
