// AVX-VNNI's limit: 8-bit dot products in 256-bit registers.
#include <immintrin.h>

#include <cstdint>

namespace retort::kernels::avx2_vnni {

int64_t roof_int8(int64_t rounds) {
  constexpr int kChains = 12;
  __m256i sums[kChains] = {}, a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+x"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (__m256i& sum : sums) sum = _mm256_dpbusd_avx_epi32(sum, a, b);
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m256i& sum : sums) asm volatile("" : : "x"(sum));
  return rounds * kChains * 32 * 2;
}

}  // namespace retort::kernels::avx2_vnni
