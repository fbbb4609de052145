// Products of quantized weights with many tokens. A tile of weight rows is unpacked once, into the order that the
// table's dot product wants, and then multiplied with all tokens, a few at a time so that all sums stay in registers.
// The including file defines Isa first: kRows and kTokens of a tile, store_rows (a block of 32 quants of kRows rows
// into 32 * kRows bytes) and dot_group (the products of a group of them with some tokens).
#pragma once

#include <utility>

#include "kernels/kernels.h"
#include "kernels/neon/quants.h"

namespace {

constexpr int kQuads = Isa::kRows / 4;  // sums of four rows share a vector

/// A tile: per block of 32 elements 32 * kRows bytes of quants, and per group kRows scales, and minima where the type
/// has them.
template <class T>
struct TileShape {
  static constexpr int kGroups = 32 / T::kGroup;  // per block of 32
  static int64_t quant_bytes(int64_t blocks) { return blocks * 32 * Isa::kRows; }
  static int64_t scale_floats(int64_t blocks) { return blocks * kGroups * Isa::kRows; }
};

template <int kGroup>
inline void store_scales(const GroupScales<kGroup>& scales, float* out) {
  for (int v = 0; v < GroupScales<kGroup>::kVectors; ++v) vst1q_f32(out + 4 * v, scales.v[v]);
}

/// Unpacks rows [0, rows) of `weights`; missing rows of the tile repeat the last one.
template <class T>
void unpack_tile(const uint8_t* weights, int64_t row_bytes, int rows, int64_t blocks, int8_t* quants, float* scales,
                 float* mins) {
  constexpr int R = Isa::kRows, G = TileShape<T>::kGroups;
  const uint8_t* row[R];
  for (int r = 0; r < R; ++r) row[r] = weights + (r < rows ? r : rows - 1) * row_bytes;
  for (int64_t block = 0; block < blocks; block += 8) {
    int count = static_cast<int>(blocks - block < 8 ? blocks - block : 8);
    float d[R][8 * G], m[R][8 * G];
    for (int r = 0; r < R; ++r) {
      GroupScales<T::kGroup> row_d, row_m;
      T::scales(row[r], count, row_d, row_m);
      store_scales(row_d, d[r]);
      if constexpr (T::kHasMin) store_scales(row_m, m[r]);
    }
    for (int g = 0; g < count * G; ++g) {
      int64_t at = (block * G + g) * R;
      for (int r = 0; r < R; ++r) {
        scales[at + r] = d[r][g];
        if constexpr (T::kHasMin) mins[at + r] = m[r][g];
      }
    }
    auto step = [&](auto index) {
      constexpr int S = decltype(index)::value;
      if (S >= count) return;
      int8x16x2_t q[R];
      for (int r = 0; r < R; ++r) q[r] = T::template quants<S>(row[r]);
      Isa::store_rows(q, quants + (block + S) * 32 * R);
    };
    [&]<int... S>(std::integer_sequence<int, S...>) {
      (step(std::integral_constant<int, S>{}), ...);
    }
    (std::make_integer_sequence<int, 8>{});
    for (int r = 0; r < R; ++r) row[r] += T::kBytes;
  }
}

/// sums[i][t]: rows 4 i to 4 i + 3 by token t, of M; token t's activations are row `token` + t of x.
template <class T, int M>
inline void multiply_tile(const int8_t* quants, const float* scales, const float* mins,
                          const retort::kernels::QuantizedRows& x, int64_t token, float32x4_t (*sums)[M]) {
  constexpr int R = Isa::kRows, G = TileShape<T>::kGroups;
  const int64_t blocks = x.cols / 32;
  const int8_t* a = x.quants + token * x.cols;
  const float* a_scales = x.scales + token * blocks;
  const float* a_sums = (G == 1 ? x.sums32 : x.sums16) + token * blocks * G;
  float32x4_t total[kQuads][M];
  for (int i = 0; i < kQuads; ++i)
    for (int t = 0; t < M; ++t) total[i][t] = vdupq_n_f32(0);
  for (int64_t block = 0; block < blocks; ++block) {
    for (int g = 0; g < G; ++g) {
      int64_t group = block * G + g;
      int32x4_t sum[kQuads][M];
      Isa::dot_group<T::kGroup, T::kWide, M>(quants + group * T::kGroup * R, a + group * T::kGroup, x.cols, sum);
      for (int i = 0; i < kQuads; ++i) {
        float32x4_t d = vld1q_f32(scales + group * R + 4 * i);
        for (int t = 0; t < M; ++t)
          total[i][t] = vfmaq_n_f32(total[i][t], vmulq_f32(vcvtq_f32_s32(sum[i][t]), d), a_scales[t * blocks + block]);
        if constexpr (T::kHasMin) {
          float32x4_t m = vld1q_f32(mins + group * R + 4 * i);
          for (int t = 0; t < M; ++t) total[i][t] = vfmaq_n_f32(total[i][t], m, a_sums[t * blocks * G + group]);
        }
      }
    }
  }
  for (int i = 0; i < kQuads; ++i)
    for (int t = 0; t < M; ++t) sums[i][t] = total[i][t];
}

template <class T, int M>
inline void multiply_and_store(const retort::kernels::LinearArgs& args, const int8_t* quants, const float* scales,
                               const float* mins, int64_t row, int rows, int64_t token) {
  float32x4_t sums[kQuads][M];
  multiply_tile<T, M>(quants, scales, mins, *args.quantized, token, sums);
  for (int t = 0; t < M; ++t) {
    float* out = args.output + (token + t) * args.output_stride + row;
    if (rows == Isa::kRows && args.bias == nullptr) {
      for (int i = 0; i < kQuads; ++i) vst1q_f32(out + 4 * i, sums[i][t]);
      continue;
    }
    float values[Isa::kRows];
    for (int i = 0; i < kQuads; ++i) vst1q_f32(values + 4 * i, sums[i][t]);
    for (int r = 0; r < rows; ++r) out[r] = values[r] + (args.bias != nullptr ? args.bias[row + r] : 0);
  }
}

/// The last, fewer than kTokens tokens: M is found at compile time.
template <class T, int M>
inline void multiply_rest(const retort::kernels::LinearArgs& args, const int8_t* quants, const float* scales,
                          const float* mins, int64_t row, int rows, int64_t token, int count) {
  if constexpr (M > 0) {
    if (count == M)
      multiply_and_store<T, M>(args, quants, scales, mins, row, rows, token);
    else
      multiply_rest<T, M - 1>(args, quants, scales, mins, row, rows, token, count);
  }
}

template <class T>
void tile_linear(const retort::kernels::LinearArgs& args) {
  int64_t blocks = args.in_features / 32, row_bytes = blocks * T::kBytes / 8;
  auto* quants = reinterpret_cast<int8_t*>(args.scratch);
  auto* scales = reinterpret_cast<float*>(args.scratch + TileShape<T>::quant_bytes(blocks));
  float* mins = scales + TileShape<T>::scale_floats(blocks);
  for (int64_t row = args.row_begin; row < args.row_end; row += Isa::kRows) {
    int rows = static_cast<int>(args.row_end - row < Isa::kRows ? args.row_end - row : Isa::kRows);
    unpack_tile<T>(reinterpret_cast<const uint8_t*>(args.weights) + row * row_bytes, row_bytes, rows, blocks, quants,
                   scales, mins);
    int64_t token = 0;
    for (; token + Isa::kTokens <= args.num_tokens; token += Isa::kTokens)
      multiply_and_store<T, Isa::kTokens>(args, quants, scales, mins, row, rows, token);
    multiply_rest<T, Isa::kTokens - 1>(args, quants, scales, mins, row, rows, token,
                                       static_cast<int>(args.num_tokens - token));
  }
}

}  // namespace
