// Half floats `stride` bytes apart, eight at a time. AVX and F16C. Internal linkage: see quants.h.
#pragma once

#include "kernels/x86/words.h"

namespace {

/// The halves at p, p + stride, ... as floats.
inline __attribute__((always_inline)) __m256 eight_halves(const uint8_t* p, int64_t stride) {
  __m128i halves = _mm_cvtsi32_si128(load_u16(p));
  halves = _mm_insert_epi16(halves, load_u16(p + stride), 1);
  halves = _mm_insert_epi16(halves, load_u16(p + 2 * stride), 2);
  halves = _mm_insert_epi16(halves, load_u16(p + 3 * stride), 3);
  halves = _mm_insert_epi16(halves, load_u16(p + 4 * stride), 4);
  halves = _mm_insert_epi16(halves, load_u16(p + 5 * stride), 5);
  halves = _mm_insert_epi16(halves, load_u16(p + 6 * stride), 6);
  halves = _mm_insert_epi16(halves, load_u16(p + 7 * stride), 7);
  return _mm256_cvtph_ps(halves);
}

/// The pairs of halves at p, p + stride, ... as floats.
inline __attribute__((always_inline)) void eight_pairs(const uint8_t* p, int64_t stride, __m256& first,
                                                       __m256& second) {
  __m256 even = _mm256_cvtph_ps(words_at(p, p + stride, p + 4 * stride, p + 5 * stride));
  __m256 odd = _mm256_cvtph_ps(words_at(p + 2 * stride, p + 3 * stride, p + 6 * stride, p + 7 * stride));
  first = _mm256_shuffle_ps(even, odd, 0x88);  // rows 0 1 | 4 5 and 2 3 | 6 7
  second = _mm256_shuffle_ps(even, odd, 0xdd);
}

}  // namespace
