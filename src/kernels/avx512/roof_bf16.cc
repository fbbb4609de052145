// AVX-512's limit in bf16: dot products of pairs, summed in fp32.
#include <immintrin.h>

#include <cstdint>

namespace retort::kernels::avx512_bf16 {

int64_t roof_bf16(int64_t rounds) {
  constexpr int kChains = 24;
  __m512 sums[kChains] = {};
  __m512i a = _mm512_set1_epi16(0x3f00), b = _mm512_set1_epi16(0x3fa0);  // 0.5 and 1.25
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+v"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m512& sum : sums) asm volatile("" : : "v"(sum));
  return rounds * kChains * 32 * 2;
}

}  // namespace retort::kernels::avx512_bf16
