// The choice of the kernel for each weight type. The including file defines Isa (neon/gemv.h, neon/tile.h) first.
#pragma once

#include "kernels/neon/floats.h"
#include "kernels/neon/gemv.h"
#include "kernels/neon/tile.h"

#include "kernels/simd/any_linear.h"

namespace {

constexpr int64_t kTileFromTokens = 4;

template <class T>
void quantized_linear(const retort::kernels::LinearArgs& args) {
  switch (args.num_tokens) {
    case 0:
      return;
    case 1:
      return gemv<T, 1>(args);
    case 2:
      return gemv<T, 2>(args);
    case 3:
      return gemv<T, 3>(args);
    default:
      return tile_linear<Tile, T>(args);
  }
}

void any_linear(const retort::kernels::LinearArgs& args) {
  linear_by_type<Floats>(args, [&]<class T>(T) { quantized_linear<T>(args); });
}

int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized || num_tokens < kTileFromTokens) return 0;
  return unpacked_bytes<Tile>(in_features);
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return num_tokens < kTileFromTokens ? 8 : Tile::kRows;
}

}  // namespace
