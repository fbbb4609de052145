// SSE4.1's limits: 8-bit products in three instructions (pmaddubsw, pmaddwd, paddd), fp32 products and sums apart.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::sse4 {

int64_t roof_int8(int64_t rounds) {
  __m128i ones = _mm_set1_epi16(1);
  return run_roof<8, __m128i>(rounds, 16 * 2, _mm_set1_epi8(1), _mm_set1_epi8(2),
                              [ones](__m128i sum, __m128i x, __m128i y) {
                                return _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(x, y), ones));
                              });
}

}  // namespace retort::kernels::sse4
