// Four numbers at any addresses in a register. SSE4.1. Internal linkage: see quants.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/load.h"

namespace {

/// The four bytes at a, b, c and d.
inline __attribute__((always_inline)) __m128i words_at(const uint8_t* a, const uint8_t* b, const uint8_t* c,
                                                       const uint8_t* d) {
  __m128i words = _mm_cvtsi32_si128(static_cast<int>(load_u32(a)));
  words = _mm_insert_epi32(words, static_cast<int>(load_u32(b)), 1);
  words = _mm_insert_epi32(words, static_cast<int>(load_u32(c)), 2);
  return _mm_insert_epi32(words, static_cast<int>(load_u32(d)), 3);
}

}  // namespace
