// How x86 unpacks and multiplies tiles (simd/tile.h): in the order that the 8-bit dot product instruction wants, four
// consecutive elements of every row side by side. The bound is the instruction's rate. Types with an offset start the
// integer sum at minus the offset x the sum of the activations. The including file includes the lanes.h of its
// instruction set first and defines `Isa`: kTokens, store_rows, and whether quants are rebased to 128 (kRebases), which
// saves bringing the start of the sum to the type's offset but leaves no small quants.
#pragma once

#include <bit>

#include "kernels/kernels.h"
#include "kernels/simd/tile.h"
#include "kernels/x86/quants.h"

namespace {

template <class T>
constexpr bool is_rebased = !T::kHasMin && Isa::kRebases;

/// The tile's quants as GroupSum wants to know them.
template <class T>
struct TileQuants {
  static constexpr int kGroup = T::kGroup, kMost = T::kMost;
  static constexpr bool kHasMin = T::kHasMin;
  static constexpr int kShift = kHasMin || is_rebased<T> ? 0 : std::countr_zero(128u / T::kOffset);
};

struct Tile : Isa {
  static constexpr int kRows = kLaneCount;
  using Quant = uint8_t;
  using Quants = __m256i;

  template <int M>
  struct Sums {
    FloatVector of[M];
    void store(int t, float* out) const { store_from(out, 0, of[t]); }
  };

  template <class T>
  static void scales(const uint8_t* row, int count, float* d, float* m) {
    constexpr int kVectors = 32 / T::kGroup;
    __m256 dv[kVectors], mv[kVectors];
    T::scales(row, count, dv, mv);
    for (int v = 0; v < kVectors; ++v) {
      _mm256_store_ps(d + 8 * v, dv[v]);
      if constexpr (T::kHasMin) _mm256_store_ps(m + 8 * v, mv[v]);
    }
  }

  template <class T, int S>
  static __m256i quants(const uint8_t* row) {
    __m256i q = T::template quants<S>(row);
    if constexpr (is_rebased<T> && T::kOffset != 128)
      q = _mm256_add_epi8(q, _mm256_set1_epi8(static_cast<char>(128 - T::kOffset)));
    return q;
  }

  template <class T, int M>
  static void multiply(const Unpacked<Tile>& tile, const retort::kernels::QuantizedRows& x, int64_t token,
                       Sums<M>& sums) {
    using Sum = GroupSum<TileQuants<T>>;
    constexpr int R = kRows, G = 32 / T::kGroup, kSteps = 8 / G;
    const int64_t blocks = x.cols / 32;
    const int8_t* a = x.quants + token * x.cols;
    const float* a_scales = x.scales + token * blocks;
    const float* a_sums = (G == 1 ? x.sums32 : x.sums16) + token * blocks * G;
    const int32_t* a_offsets = (G == 1 ? x.offsets32 : x.offsets16) + token * blocks * G;
    FloatVector total[M];
    for (int t = 0; t < M; ++t) total[t] = no_floats();
    for (int64_t block = 0; block < blocks; ++block) {
      for (int g = 0; g < G; ++g) {
        const int64_t group = block * G + g;
        Sum sum[M];
        for (int t = 0; t < M; ++t) sum[t].begin(a_offsets + t * blocks * G + group);
        const uint8_t* q = tile.quants + group * T::kGroup * R;
        const int8_t* ag = a + group * T::kGroup;
#pragma GCC unroll 8
        for (int k = 0; k < kSteps; ++k) {
          const auto w = Sum::prepare(load_words(q + k * 4 * R));
          for (int t = 0; t < M; ++t) sum[t].add(k, w, everywhere(ag + t * x.cols + k * 4));
        }
        FloatVector d = load_floats(tile.scales + group * R);
        for (int t = 0; t < M; ++t)
          total[t] =
              times_plus(times(to_floats(sum[t].sum), d), float_everywhere(a_scales + t * blocks + block), total[t]);
        if constexpr (T::kHasMin) {
          FloatVector m = load_floats(tile.mins + group * R);
          for (int t = 0; t < M; ++t)
            total[t] = times_plus(m, float_everywhere(a_sums + t * blocks * G + group), total[t]);
        }
      }
    }
    for (int t = 0; t < M; ++t) sums.of[t] = total[t];
  }
};

}  // namespace
