// How NEON unpacks and multiplies tiles (simd/tile.h). The including file defines Isa first: kRows and kTokens of a
// tile, store_rows, and dot_group (the products of a group of the rows with some tokens).
#pragma once

#include "kernels/kernels.h"
#include "kernels/neon/quants.h"
#include "kernels/simd/tile.h"

namespace {

struct Tile : Isa {
  using Quant = int8_t;
  using Quants = int8x16x2_t;
  static constexpr int kQuads = kRows / 4;  // sums of four rows share a vector

  template <int M>
  struct Sums {
    float32x4_t of[kQuads][M];
    void store(int t, float* out) const {
      for (int i = 0; i < kQuads; ++i) vst1q_f32(out + 4 * i, of[i][t]);
    }
  };

  template <class T>
  static void scales(const uint8_t* row, int count, float* d, float* m) {
    GroupScales<T::kGroup> row_d, row_m;
    T::scales(row, count, row_d, row_m);
    for (int v = 0; v < GroupScales<T::kGroup>::kVectors; ++v) {
      vst1q_f32(d + 4 * v, row_d.v[v]);
      if constexpr (T::kHasMin) vst1q_f32(m + 4 * v, row_m.v[v]);
    }
  }

  template <class T, int S>
  static int8x16x2_t quants(const uint8_t* row) {
    return T::template quants<S>(row);
  }

  template <class T, int M>
  static void multiply(const Unpacked<Tile>& tile, const retort::kernels::QuantizedRows& x, int64_t token,
                       Sums<M>& sums) {
    constexpr int R = kRows, G = 32 / T::kGroup;
    const int64_t blocks = x.cols / 32;
    const int8_t* a = x.quants + token * x.cols;
    const float* a_scales = x.scales + token * blocks;
    const float* a_sums = (G == 1 ? x.sums32 : x.sums16) + token * blocks * G;
    float32x4_t total[kQuads][M];
    for (int i = 0; i < kQuads; ++i)
      for (int t = 0; t < M; ++t) total[i][t] = vdupq_n_f32(0);
    for (int64_t block = 0; block < blocks; ++block) {
      for (int g = 0; g < G; ++g) {
        const int64_t group = block * G + g;
        int32x4_t sum[kQuads][M];
        Isa::dot_group<T::kGroup, T::kWide, M>(tile.quants + group * T::kGroup * R, a + group * T::kGroup, x.cols, sum);
        for (int i = 0; i < kQuads; ++i) {
          float32x4_t d = vld1q_f32(tile.scales + group * R + 4 * i);
          for (int t = 0; t < M; ++t)
            total[i][t] =
                vfmaq_n_f32(total[i][t], vmulq_f32(vcvtq_f32_s32(sum[i][t]), d), a_scales[t * blocks + block]);
          if constexpr (T::kHasMin) {
            float32x4_t m = vld1q_f32(tile.mins + group * R + 4 * i);
            for (int t = 0; t < M; ++t) total[i][t] = vfmaq_n_f32(total[i][t], m, a_sums[t * blocks * G + group]);
          }
        }
      }
    }
    for (int i = 0; i < kQuads; ++i)
      for (int t = 0; t < M; ++t) sums.of[i][t] = total[i][t];
  }
};

}  // namespace
