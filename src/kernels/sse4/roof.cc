// SSE4.1's limits: 8-bit products in three instructions (pmaddubsw, pmaddwd, paddd), fp32 products and sums apart.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace retort::kernels::sse4 {

int64_t roof_int8(int64_t rounds) {
  constexpr int kChains = 8;
  __m128i sums[kChains] = {}, a = _mm_set1_epi8(1), b = _mm_set1_epi8(2), ones = _mm_set1_epi16(1);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+x"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32  // or the sums go through memory
    for (__m128i& sum : sums) {
      asm volatile("" : "+x"(a), "+x"(b));  // each time: or the product would be shared
      sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(a, b), ones));
    }
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m128i& sum : sums) asm volatile("" : : "x"(sum));
  return rounds * kChains * 16 * 2;
}

}  // namespace retort::kernels::sse4
