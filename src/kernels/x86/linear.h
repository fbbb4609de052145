// The choice of the kernel for each weight type.
// The including file includes its lanes.h and defines Isa (x86/tile.h) first.
#pragma once

#include "kernels/x86/tile.h"

#include "kernels/simd/any_linear.h"

namespace {

template <class V>
void any_linear(const retort::kernels::LinearArgs& args) {
  linear_by_type<V>(args, [&]<class T>(T) { tile_linear<Tile, T>(args); });
}

constexpr int64_t kFewTokens = 16;  // up to here x86/few_tokens.h is the way, if there is a whole tile of weight rows

bool is_for_few_tokens(const retort::kernels::LinearArgs& args) {
  return retort::tensor::info(args.dtype).quantized && args.num_tokens >= 1 && args.num_tokens <= kFewTokens &&
         args.row_end >= kLaneCount;
}

/// Of any_linear() and few_tokens().
int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return 0;
  int64_t tile = unpacked_bytes<Tile>(in_features);
  int64_t records = num_tokens * (in_features / 32) * (32 + 4 + 2 * 4);
  return num_tokens <= kFewTokens && records > tile ? records : tile;
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return kLaneCount;
}

}  // namespace
