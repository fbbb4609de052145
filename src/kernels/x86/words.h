// Numbers at any address, and four of them in a register. SSE4.1. Internal linkage: see quants.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

inline uint32_t load_u32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}

/// The four bytes at a, b, c and d.
inline __attribute__((always_inline)) __m128i words_at(const uint8_t* a, const uint8_t* b, const uint8_t* c,
                                                       const uint8_t* d) {
  __m128i words = _mm_cvtsi32_si128(static_cast<int>(load_u32(a)));
  words = _mm_insert_epi32(words, static_cast<int>(load_u32(b)), 1);
  words = _mm_insert_epi32(words, static_cast<int>(load_u32(c)), 2);
  return _mm_insert_epi32(words, static_cast<int>(load_u32(d)), 3);
}

}  // namespace
