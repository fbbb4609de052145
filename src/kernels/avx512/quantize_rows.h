// Activations to 8 bits with AVX-512, sixteen blocks of 32 at a time: their largest magnitudes, scales and sums are
// lanes of one vector.
#pragma once

#include <immintrin.h>

#include "kernels/avx512/floats.h"
#include "kernels/kernels.h"

namespace retort::kernels::avx512 {
namespace {

/// Lane 4 i + j is lane 4 j + i of v.
inline __m512i transposed_lanes(__m512i v) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}

/// Sums of neighbouring numbers: of a, then of b, within each 128 bits. The sums fit 16 bits.
inline __m512i add_neighbours(__m512i a, __m512i b) {
  return _mm512_madd_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16(1));
}

/// `count` (1 to 16) blocks at x, to block number `at` of `out`, counted through all rows.
inline void quantize_blocks(const float* x, int count, const QuantizedRows& out, int64_t at) {
  auto block = [&](int i) { return x + 32 * (i < count ? i : count - 1); };
  Floats most[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    __m512 a = _mm512_abs_ps(_mm512_loadu_ps(block(i))), b = _mm512_abs_ps(_mm512_loadu_ps(block(i) + 16));
    most[i].v = _mm512_max_ps(b, _mm512_max_ps(a, _mm512_setzero_ps()));  // NaN in the first operand gives the second
  }
  const __m512 largest = Floats::joined(most, Floats::max).v, top = _mm512_set1_ps(127), bottom = _mm512_set1_ps(-127);
  const __m512 scales = _mm512_div_ps(largest, top);
  __mmask16 usable = _mm512_cmp_ps_mask(largest, _mm512_setzero_ps(), _CMP_GT_OQ) &
                     _mm512_cmp_ps_mask(largest, _mm512_set1_ps(3.402823466e38f), _CMP_LE_OQ);
  alignas(64) float inverses[16];
  _mm512_store_ps(inverses, _mm512_maskz_div_ps(usable, top, largest));

  auto rounded = [&](const float* values, __m512 inverse) {
    __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(values), inverse);
    __mmask16 number = _mm512_cmp_ps_mask(scaled, scaled, _CMP_ORD_Q);
    return _mm512_maskz_cvtps_epi32(number, _mm512_min_ps(_mm512_max_ps(scaled, bottom), top));
  };
  int8_t* quants = out.quants + 32 * at;
  __m512i fours[8];  // sums of four quants: of the halves of blocks 2 i and 2 i + 1, 128 bits each
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    __m512 first = _mm512_set1_ps(inverses[2 * i]), second = _mm512_set1_ps(inverses[2 * i + 1]);
    const float *a = block(2 * i), *b = block(2 * i + 1);
    __m512i low = _mm512_packs_epi32(rounded(a, first), rounded(a + 16, first));
    __m512i high = _mm512_packs_epi32(rounded(b, second), rounded(b + 16, second));
    __m512i bytes = transposed_lanes(_mm512_packs_epi16(low, high));
    fours[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), bytes);
    if (2 * i + 1 < count)
      _mm512_storeu_si512(quants + 64 * i, bytes);
    else if (2 * i < count)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(quants + 64 * i), _mm512_castsi512_si256(bytes));
  }
  __m512i halves[2];  // sums of each half block, in order
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    halves[i] = transposed_lanes(add_neighbours(add_neighbours(fours[4 * i], fours[4 * i + 1]),
                                                add_neighbours(fours[4 * i + 2], fours[4 * i + 3])));
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512i whole = _mm512_add_epi32(_mm512_permutex2var_epi32(halves[0], even, halves[1]),
                                         _mm512_permutex2var_epi32(halves[0], odd, halves[1]));
  auto offset = [](__m512i sums) { return _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), sums), 7); };
  const auto wanted = static_cast<__mmask16>((1u << count) - 1);
  _mm512_mask_storeu_ps(out.scales + at, wanted, scales);
  _mm512_mask_storeu_ps(out.sums32 + at, wanted, _mm512_mul_ps(scales, _mm512_cvtepi32_ps(whole)));
  _mm512_mask_storeu_epi32(out.offsets32 + at, wanted, offset(whole));
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const int left = 2 * count - 16 * i;
    if (left <= 0) break;
    const auto some = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1);
    __m512 scale = _mm512_permutexvar_ps(_mm512_add_epi32(twice, _mm512_set1_epi32(8 * i)), scales);
    int64_t to = 2 * at + 16 * i;
    _mm512_mask_storeu_ps(out.sums16 + to, some, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(halves[i])));
    _mm512_mask_storeu_epi32(out.offsets16 + to, some, offset(halves[i]));
  }
}

void quantize_rows(const float* x, int64_t stride, const QuantizedRows& out, int64_t row_begin, int64_t row_end) {
  const int64_t blocks = out.cols / 32;
  auto run = [&](const float* from, int64_t at, int64_t end) {
    for (; at < end; at += 16, from += 16 * 32)
      quantize_blocks(from, static_cast<int>(end - at < 16 ? end - at : 16), out, at);
  };
  if (stride == out.cols) return run(x + row_begin * stride, row_begin * blocks, row_end * blocks);
  for (int64_t row = row_begin; row < row_end; ++row) run(x + row * stride, row * blocks, (row + 1) * blocks);
}

}  // namespace
}  // namespace retort::kernels::avx512
