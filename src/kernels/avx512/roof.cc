// AVX-512's limits: reading, dpbusd, fp32 multiply-adds.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace retort::kernels::avx512 {

uint64_t roof_read(const std::byte* data, int64_t bytes) {
  __m512i sums[4] = {};
  for (int64_t i = 0; i + 256 <= bytes; i += 256)
    for (int j = 0; j < 4; ++j) sums[j] = _mm512_xor_si512(sums[j], _mm512_loadu_si512(data + i + 64 * j));
  __m512i all = _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(all));
}

int64_t roof_int8(int64_t rounds) {
  constexpr int kChains = 24;
  __m512i sums[kChains] = {}, a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+v"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m512i& sum : sums) asm volatile("" : : "v"(sum));
  return rounds * kChains * 64 * 2;
}

int64_t roof_fp32(int64_t rounds) {
  constexpr int kChains = 24;
  __m512 sums[kChains] = {}, a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.25f);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+v"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m512& sum : sums) asm volatile("" : : "v"(sum));
  return rounds * kChains * 16 * 2;
}

}  // namespace retort::kernels::avx512
