// Products of quantized weights with many tokens. A tile of weight rows is unpacked once, into the order that the 8-bit
// dot product instruction wants (four consecutive elements of every row side by side), and then multiplied with all
// tokens, a few at a time so that all sums stay in registers. The bound is the instruction's rate. Types with an
// offset start the integer sum at minus the offset x the sum of the activations. The including file includes the
// lanes.h of its instruction set first and defines `Isa`: kTokens, store_transposed, and whether quants are rebased to
// 128 (kRebases), which saves bringing the start of the sum to the type's offset but leaves no small quants.
#pragma once

#include <bit>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/x86/quants.h"

namespace {

/// A tile: kLaneCount weight rows unpacked. Per block of 32 elements: 8 vectors of quants; per group: a vector of
/// scales, and of minima where the type has them.
template <class T>
struct TileShape {
  static constexpr bool kRebased = !T::kHasMin && Isa::kRebases;
  static constexpr int kGroups = 32 / T::kGroup;  // per block of 32

  static int64_t quant_bytes(int64_t blocks) { return blocks * 32 * kLaneCount; }
  static int64_t scale_floats(int64_t blocks) { return blocks * kGroups * kLaneCount; }
  static int64_t bytes(int64_t blocks) { return quant_bytes(blocks) + 2 * 4 * scale_floats(blocks); }
};

/// The tile's quants as GroupSum wants to know them.
template <class T>
struct TileQuants {
  static constexpr int kGroup = T::kGroup, kMost = T::kMost;
  static constexpr bool kHasMin = T::kHasMin;
  static constexpr int kShift = kHasMin || TileShape<T>::kRebased ? 0 : std::countr_zero(128u / T::kOffset);
};

/// Unpacks rows [0, rows) of `weights`; missing rows of the tile repeat the last one.
template <class T>
void unpack_tile(const uint8_t* weights, int64_t row_bytes, int rows, int64_t blocks, uint8_t* quants, float* scales,
                 float* mins) {
  using Shape = TileShape<T>;
  constexpr int R = kLaneCount, kVectors = T::kGroup == 32 ? 1 : 2;
  const uint8_t* row[R];
  for (int r = 0; r < R; ++r) row[r] = weights + (r < rows ? r : rows - 1) * row_bytes;
  for (int64_t block = 0; block < blocks; block += 8) {
    int count = static_cast<int>(blocks - block < 8 ? blocks - block : 8);
    alignas(32) float d[R][8 * kVectors], m[R][8 * kVectors];
    for (int r = 0; r < R; ++r) {
      __m256 dv[kVectors], mv[kVectors];
      T::scales(row[r], count, dv, mv);
      for (int v = 0; v < kVectors; ++v) {
        _mm256_store_ps(d[r] + 8 * v, dv[v]);
        if constexpr (T::kHasMin) _mm256_store_ps(m[r] + 8 * v, mv[v]);
      }
    }
    for (int g = 0; g < count * Shape::kGroups; ++g) {
      int64_t at = (block * Shape::kGroups + g) * R;
      for (int r = 0; r < R; ++r) {
        scales[at + r] = d[r][g];
        if constexpr (T::kHasMin) mins[at + r] = m[r][g];
      }
    }
    auto step = [&](auto index) {
      constexpr int S = decltype(index)::value;
      if (S >= count) return;
      __m256i q[R];
      for (int r = 0; r < R; ++r) {
        q[r] = T::template quants<S>(row[r]);
        if constexpr (Shape::kRebased && T::kOffset != 128)
          q[r] = _mm256_add_epi8(q[r], _mm256_set1_epi8(static_cast<char>(128 - T::kOffset)));
      }
      Isa::store_transposed(q, quants + (block + S) * 32 * R);
    };
    [&]<int... S>(std::integer_sequence<int, S...>) {
      (step(std::integral_constant<int, S>{}), ...);
    }
    (std::make_integer_sequence<int, 8>{});
    for (int r = 0; r < R; ++r) row[r] += T::kBytes;
  }
}

/// out[t][r] for M tokens and one tile; token t's activations start at row `token` + t of x.
template <class T, int M>
void multiply_tile(const uint8_t* quants, const float* scales, const float* mins, int64_t blocks,
                   const retort::kernels::QuantizedRows& x, int64_t token, FloatVector* sums) {
  using Shape = TileShape<T>;
  using Sum = GroupSum<TileQuants<T>>;
  constexpr int R = kLaneCount, G = Shape::kGroups, kSteps = 8 / G;
  const int8_t* a = x.quants + token * x.cols;
  const float* a_scales = x.scales + token * blocks;
  const float* a_sums = (G == 1 ? x.sums32 : x.sums16) + token * blocks * G;
  const int32_t* a_offsets = (G == 1 ? x.offsets32 : x.offsets16) + token * blocks * G;
  FloatVector total[M];
  for (int t = 0; t < M; ++t) total[t] = no_floats();
  for (int64_t block = 0; block < blocks; ++block) {
    for (int g = 0; g < G; ++g) {
      Sum sum[M];
      for (int t = 0; t < M; ++t) sum[t].begin(a_offsets + t * blocks * G + block * G + g);
      const uint8_t* q = quants + (block * G + g) * (32 / G) * R;
      const int8_t* ab = a + block * 32 + g * 16;
#pragma GCC unroll 8
      for (int k = 0; k < kSteps; ++k) {
        const auto w = Sum::prepare(load_words(q + k * 4 * R));
        for (int t = 0; t < M; ++t) sum[t].add(k, w, everywhere(ab + t * x.cols + k * 4));
      }
      FloatVector d = load_floats(scales + (block * G + g) * R);
      for (int t = 0; t < M; ++t)
        total[t] =
            times_plus(times(to_floats(sum[t].sum), d), float_everywhere(a_scales + t * blocks + block), total[t]);
      if constexpr (T::kHasMin) {
        FloatVector m = load_floats(mins + (block * G + g) * R);
        for (int t = 0; t < M; ++t)
          total[t] = times_plus(m, float_everywhere(a_sums + t * blocks * G + block * G + g), total[t]);
      }
    }
  }
  for (int t = 0; t < M; ++t) sums[t] = total[t];
}

template <class T, int M>
inline void multiply_and_store(const retort::kernels::LinearArgs& args, const uint8_t* quants, const float* scales,
                               const float* mins, int64_t row, int rows, int64_t token) {
  FloatVector sums[M];
  multiply_tile<T, M>(quants, scales, mins, args.in_features / 32, *args.quantized, token, sums);
  alignas(64) float values[kLaneCount];
  for (int t = 0; t < M; ++t) {
    float* out = args.output + (token + t) * args.output_stride + row;
    if (rows == kLaneCount && args.bias == nullptr) {
      store_from(out, 0, sums[t]);
      continue;
    }
    store_from(values, 0, sums[t]);
    for (int r = 0; r < rows; ++r) out[r] = values[r] + (args.bias != nullptr ? args.bias[row + r] : 0);
  }
}

/// The last, fewer than kTokens tokens: M is found at compile time.
template <class T, int M>
inline void multiply_rest(const retort::kernels::LinearArgs& args, const uint8_t* quants, const float* scales,
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
  using Shape = TileShape<T>;
  int64_t blocks = args.in_features / 32, row_bytes = blocks * T::kBytes / 8;
  auto* quants = reinterpret_cast<uint8_t*>(args.scratch);
  auto* scales = reinterpret_cast<float*>(args.scratch + Shape::quant_bytes(blocks));
  float* mins = scales + Shape::scale_floats(blocks);
  for (int64_t row = args.row_begin; row < args.row_end; row += kLaneCount) {
    int rows = static_cast<int>(args.row_end - row < kLaneCount ? args.row_end - row : kLaneCount);
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
