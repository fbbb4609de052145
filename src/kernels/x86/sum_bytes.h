// Sums of quantized activations.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

/// The sum of sixteen signed bytes.
inline int32_t sum_bytes16(__m128i bytes) {
  __m128i biased = _mm_xor_si128(bytes, _mm_set1_epi8(-128));
  __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_srli_si128(sums, 8))) - 128 * 16;
}

}  // namespace
