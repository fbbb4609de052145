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

constexpr int64_t kFewTokens = 16;  // up to here x86/few_tokens.h is the way, if there is a whole tile of weight rows

bool is_for_few_tokens(const retort::kernels::LinearArgs& args) {
  return retort::tensor::info(args.dtype).quantized && args.num_tokens >= 1 && args.num_tokens <= kFewTokens &&
         args.row_end >= kLaneCount;
}

/// Of any_linear() and few_tokens().
int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return 0;
  int64_t tile = in_features * kLaneCount + 2 * 4 * (in_features / 16) * kLaneCount;  // scales: one per 16 at most
  int64_t records = num_tokens * (in_features / 32) * (32 + 4 + 2 * 4);
  return num_tokens <= kFewTokens && records > tile ? records : tile;
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return kLaneCount;
}

}  // namespace
