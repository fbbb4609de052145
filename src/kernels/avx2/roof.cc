// AVX2's limits: reading, 8-bit products in three instructions (maddubs, madd, add), fp32 multiply-adds.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/roof.h"

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
  __m256i ones = _mm256_set1_epi16(1);
  return run_roof<8, __m256i>(rounds, 32 * 2, _mm256_set1_epi8(1), _mm256_set1_epi8(2),
                              [ones](__m256i sum, __m256i x, __m256i y) {
                                return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), ones));
                              });
}

int64_t roof_fp32(int64_t rounds) {
  return run_roof<12, __m256>(rounds, 8 * 2, _mm256_set1_ps(0.5f), _mm256_set1_ps(1.25f),
                              [](__m256 sum, __m256 x, __m256 y) { return _mm256_fmadd_ps(sum, x, y); });
}

}  // namespace retort::kernels::avx2
