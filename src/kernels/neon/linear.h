// Activations to 8 bits with NEON, and the choice of the kernel for each weight type. The including file defines Isa
// (neon/gemv.h, neon/tile.h) first.
#pragma once

#include "kernels/neon/floats.h"
#include "kernels/neon/gemv.h"
#include "kernels/neon/tile.h"

#include "kernels/simd/any_linear.h"

namespace {

void quantize_rows(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out, int64_t row_begin,
                   int64_t row_end) {
  int64_t blocks = out.cols / 32;
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* values = x + row * stride + block * 32;
      float32x4_t v[8];
      float32x4_t most = vdupq_n_f32(0);
      for (int i = 0; i < 8; ++i) {
        v[i] = vld1q_f32(values + 4 * i);
        most = vmaxnmq_f32(vabsq_f32(v[i]), most);  // the number, where one of them is NaN
      }
      float largest = vmaxnmvq_f32(most);
      float scale = largest / 127;
      float inverse = largest > 0 && largest <= 3.402823466e38f ? 127 / largest : 0;
      int16x8_t wide[4];
      for (int i = 0; i < 4; ++i) {  // the conversion rounds to nearest even and turns NaN to 0
        int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i], inverse));
        int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i + 1], inverse));
        wide[i] = vqmovn_high_s32(vqmovn_s32(low), high);
      }
      int64_t at = row * blocks + block;
      int32_t sums[2];
      for (int half = 0; half < 2; ++half) {
        int8x16_t q = vqmovn_high_s16(vqmovn_s16(wide[2 * half]), wide[2 * half + 1]);
        q = vmaxq_s8(q, vdupq_n_s8(-127));
        vst1q_s8(out.quants + row * out.cols + block * 32 + 16 * half, q);
        sums[half] = vaddlvq_s8(q);
        out.sums16[2 * at + half] = scale * static_cast<float>(sums[half]);
        out.offsets16[2 * at + half] = -128 * sums[half];
      }
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(sums[0] + sums[1]);
      out.offsets32[at] = -128 * (sums[0] + sums[1]);
    }
  }
}

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
