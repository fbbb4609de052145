// Products of quantized weights with one to three tokens: each weight row is read once, straight from the file's
// blocks, and multiplied 32 elements at a time in 8 bits. The bound is memory bandwidth. The including file defines
// dot_u8s8<kWide>(acc, u, s) first.
#pragma once

#include <utility>

#include "kernels/kernels.h"
#include "kernels/x86/quants.h"

namespace {

inline float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/// Loads `count` (at most 8) floats, the rest 0.
inline __m256 load_first(const float* p, int count) {
  if (count >= 8) return _mm256_loadu_ps(p);
  __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes));
}

/// One token's sums while a row is walked: `products` holds d * q * a, `mins` the part that does not depend on q.
struct RowSums {
  __m256 products = _mm256_setzero_ps();
  __m256 mins = _mm256_setzero_ps();
};

/// Adds `count` blocks of 32 (at most 8) starting at `weights` to every token's sums.
template <class T, int M>
inline void add_blocks(const uint8_t* weights, int count, const retort::kernels::QuantizedRows& x, int64_t block,
                       RowSums* sums) {
  constexpr int kVectors = T::kGroup == 32 ? 1 : 2;
  int64_t blocks = x.cols / 32;
  __m256 d[kVectors], m[kVectors];
  T::scales(weights, count, d, m);
  __m256 scaled[M][kVectors];  // weight scale x activation scale of each group
  for (int t = 0; t < M; ++t) {
    int64_t at = t * blocks + block;
    __m256 a = load_first(x.scales + at, count);
    if constexpr (T::kGroup == 32) {
      scaled[t][0] = _mm256_mul_ps(d[0], a);
      sums[t].mins = _mm256_fmadd_ps(T::kHasMin ? m[0] : d[0], load_first(x.sums32 + at, count), sums[t].mins);
    } else {
      for (int v = 0; v < 2; ++v) {
        __m256i pairs = _mm256_add_epi32(_mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3), _mm256_set1_epi32(4 * v));
        scaled[t][v] = _mm256_mul_ps(d[v], _mm256_permutevar8x32_ps(a, pairs));
        sums[t].mins =
            _mm256_fmadd_ps(T::kHasMin ? m[v] : d[v], _mm256_loadu_ps(x.sums16 + 2 * at + 8 * v), sums[t].mins);
      }
    }
  }
  auto step = [&](auto index) {
    constexpr int S = decltype(index)::value;
    if (S >= count) return;
    __m256i q = T::template quants<S>(weights);
    for (int t = 0; t < M; ++t) {
      __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.quants + t * x.cols + (block + S) * 32));
      __m256 dot = _mm256_cvtepi32_ps(dot_u8s8<T::kWide>(_mm256_setzero_si256(), q, a));
      __m256i lanes = T::kGroup == 32
                          ? _mm256_set1_epi32(S)
                          : _mm256_add_epi32(_mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), _mm256_set1_epi32(2 * (S % 4)));
      __m256 factor = _mm256_permutevar8x32_ps(scaled[t][T::kGroup == 32 ? 0 : S / 4], lanes);
      sums[t].products = _mm256_fmadd_ps(dot, factor, sums[t].products);
    }
  };
  [&]<int... S>(std::integer_sequence<int, S...>) {
    (step(std::integral_constant<int, S>{}), ...);
  }
  (std::make_integer_sequence<int, 8>{});
}

template <class T, int M>
void gemv(const retort::kernels::LinearArgs& args) {
  const retort::kernels::QuantizedRows& x = *args.quantized;
  int64_t blocks = args.in_features / 32;
  int64_t row_bytes = blocks * T::kBytes / 8;
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const auto* weights = reinterpret_cast<const uint8_t*>(args.weights) + row * row_bytes;
    RowSums sums[M];
    int64_t block = 0;
    for (; block + 8 <= blocks; block += 8, weights += T::kBytes) add_blocks<T, M>(weights, 8, x, block, sums);
    if (block < blocks) add_blocks<T, M>(weights, static_cast<int>(blocks - block), x, block, sums);
    for (int t = 0; t < M; ++t) {
      constexpr float kMinFactor = T::kHasMin ? 1.0f : -static_cast<float>(T::kOffset);
      __m256 total = _mm256_fmadd_ps(sums[t].mins, _mm256_set1_ps(kMinFactor), sums[t].products);
      args.output[t * args.output_stride + row] = sum_lanes(total) + (args.bias != nullptr ? args.bias[row] : 0);
    }
  }
}

}  // namespace
