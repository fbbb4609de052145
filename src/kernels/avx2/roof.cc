// AVX2's limits: reading, 8-bit products in three instructions (maddubs, madd, add), fp32 multiply-adds.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace retort::kernels::avx2 {

uint64_t roof_read(const std::byte* data, int64_t bytes) {
  __m256i sums[4] = {};
  const auto* vectors = reinterpret_cast<const __m256i*>(data);
  for (int64_t i = 0; i < bytes / 32 / 4 * 4; i += 4)
    for (int j = 0; j < 4; ++j) sums[j] = _mm256_xor_si256(sums[j], _mm256_loadu_si256(vectors + i + j));
  __m256i all = _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^
                               _mm256_extract_epi64(all, 2) ^ _mm256_extract_epi64(all, 3));
}

int64_t roof_int8(int64_t rounds) {
  constexpr int kChains = 8;
  __m256i sums[kChains] = {}, a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+x"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32  // or the sums go through memory
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(a), "+x"(b));  // each time: or the product would be shared
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m256i& sum : sums) asm volatile("" : : "x"(sum));
  return rounds * kChains * 32 * 2;
}

int64_t roof_fp32(int64_t rounds) {
  constexpr int kChains = 12;
  __m256 sums[kChains] = {}, a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.25f);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+x"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  }
#pragma GCC unroll 32  // or every round stores them
  for (__m256& sum : sums) asm volatile("" : : "x"(sum));
  return rounds * kChains * 8 * 2;
}

}  // namespace retort::kernels::avx2
