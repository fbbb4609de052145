// Products of quantized weights with one to three tokens: each weight row is read once, straight from the file's
// blocks, and multiplied 64 elements at a time in 8 bits. The bound is memory bandwidth.
#pragma once

#include <utility>

#include "kernels/avx512/quants.h"
#include "kernels/kernels.h"

namespace retort::kernels::avx512 {
namespace {

/// One token's sums while a row is walked: `products` holds d * q * a (two, to hide the latency of the addition),
/// `mins` the part that does not depend on q.
template <class T>
struct RowSums {
  __m512 products[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  typename T::Scales mins = {};
};

/// Lane i of the result is lane i / (kGroup / 4) + first of the groups' scales: the group that lane i of a pair's dot
/// product belongs to.
template <class T, int S>
inline __m512 spread(typename T::Scales scales) {
  if constexpr (T::kGroup == 32) {
    constexpr int a = 2 * S, b = a + 1;
    return _mm512_permutexvar_ps(_mm512_setr_epi32(a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b),
                                 _mm512_castps256_ps512(scales));
  } else {
    constexpr int a = 4 * S, b = a + 1, c = a + 2, d = a + 3;
    return _mm512_permutexvar_ps(_mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d), scales);
  }
}

/// Adds the first `count` of 8 blocks of 32 at `weights` to every token's sums. `block` counts blocks in a row of x.
template <class T, int M>
inline void add_blocks(const uint8_t* weights, int count, const QuantizedRows& x, int64_t block, RowSums<T>* sums) {
  const int64_t blocks = x.cols / 32;
  const auto first = static_cast<__mmask8>((1u << count) - 1);
  typename T::Scales d, m, scaled[M];  // scaled: weight scale x activation scale of each group
  T::scales(weights, &d, &m);
  for (int t = 0; t < M; ++t) {
    int64_t at = t * blocks + block;
    __m256 a = _mm256_maskz_loadu_ps(first, x.scales + at);
    if constexpr (T::kGroup == 32) {
      __m256 a_sums = _mm256_maskz_loadu_ps(first, x.sums32 + at);
      scaled[t] = _mm256_maskz_mul_ps(first, d, a);  // what lies past the row's end may be NaN
      sums[t].mins = _mm256_mask3_fmadd_ps(T::kHasMin ? m : d, a_sums, sums[t].mins, first);
    } else {
      const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
      scaled[t] = _mm512_mul_ps(d, _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(a)));
      sums[t].mins = _mm512_fmadd_ps(T::kHasMin ? m : d, _mm512_loadu_ps(x.sums16 + 2 * at), sums[t].mins);
    }
  }
  auto step = [&](auto index) {
    constexpr int S = decltype(index)::value;
    if (2 * S >= count) return;
    __m512i q = T::template pair<S>(weights);
    for (int t = 0; t < M; ++t) {
      __m512i a = load64(x.quants + t * x.cols + block * 32 + S * 64);
      __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), q, a));
      sums[t].products[S % 2] = _mm512_fmadd_ps(dot, spread<T, S>(scaled[t]), sums[t].products[S % 2]);
    }
  };
  [&]<int... S>(std::integer_sequence<int, S...>) {
    (step(std::integral_constant<int, S>{}), ...);
  }
  (std::make_integer_sequence<int, 4>{});
}

template <class T, int M>
void gemv(const LinearArgs& args) {
  constexpr int64_t kAhead = 1024;  // bytes to fetch ahead of use
  const QuantizedRows& x = *args.quantized;
  const int64_t blocks = args.in_features / 32;
  const int64_t row_bytes = blocks * T::kBytes / 8;
  const auto* all = reinterpret_cast<const uint8_t*>(args.weights);
  const uint8_t* end = all + args.row_end * row_bytes;
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const uint8_t* weights = all + row * row_bytes;
    RowSums<T> sums[M];
    int64_t block = 0;
    for (; block + 8 <= blocks; block += 8, weights += T::kBytes) {
      for (int i = 0; i < T::kBytes; i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(weights) + kAhead + i, _MM_HINT_T0);
      add_blocks<T, M>(weights, 8, x, block, sums);
    }
    if (T::kBytes / 8 * 8 == T::kBytes && block < blocks) {
      alignas(64) uint8_t copy[T::kBytes];
      if (weights + T::kBytes > end) {  // reading eight blocks would leave the matrix
        std::memset(copy, 0, sizeof(copy));
        std::memcpy(copy, weights, static_cast<size_t>(end - weights));
        weights = copy;
      }
      add_blocks<T, M>(weights, static_cast<int>(blocks - block), x, block, sums);
    }
    for (int t = 0; t < M; ++t) {
      __m512 total = _mm512_add_ps(sums[t].products[0], sums[t].products[1]);
      const float factor = T::kHasMin ? 1.0f : -static_cast<float>(T::kOffset);
      if constexpr (T::kGroup == 32)
        total = _mm512_fmadd_ps(_mm512_zextps256_ps512(sums[t].mins), _mm512_set1_ps(factor), total);
      else
        total = _mm512_fmadd_ps(sums[t].mins, _mm512_set1_ps(factor), total);
      args.output[t * args.output_stride + row] =
          _mm512_reduce_add_ps(total) + (args.bias != nullptr ? args.bias[row] : 0);
    }
  }
}

}  // namespace
}  // namespace retort::kernels::avx512
