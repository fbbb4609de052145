// Activations to 8 bits with AVX2.
#pragma once

#include <immintrin.h>

#include "kernels/simd/quantize_rows.h"
#include "kernels/x86/sum_bytes.h"

namespace {

struct FloatBlock {
  __m256 v[4];

  explicit FloatBlock(const float* values) {
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(values + 8 * i);
  }
  float largest() const {
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 most = _mm256_setzero_ps();  // a NaN in the first operand gives the second
    for (__m256 x : v) most = _mm256_max_ps(_mm256_and_ps(x, magnitude), most);
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
  }
  void store(float inverse, int8_t* quants, int32_t* sums) const {
    __m256i q[4];
    for (int i = 0; i < 4; ++i) {
      __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
      scaled = _mm256_and_ps(scaled, _mm256_cmp_ps(scaled, scaled, _CMP_ORD_Q));
      scaled = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
      q[i] = _mm256_cvtps_epi32(scaled);
    }
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(quants), packed);
    sums[0] = sum_bytes16(_mm256_castsi256_si128(packed));
    sums[1] = sum_bytes16(_mm256_extracti128_si256(packed, 1));
  }
};

}  // namespace
