// Activations to 8 bits with AVX2, one block of 32 at a time.
#pragma once

#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/x86/sum_bytes.h"

namespace {

void quantize_rows(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out, int64_t row_begin,
                   int64_t row_end) {
  int64_t blocks = out.cols / 32;
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* values = x + row * stride + block * 32;
      __m256 v[4];
      __m256 most = _mm256_setzero_ps();
      for (int i = 0; i < 4; ++i) {
        v[i] = _mm256_loadu_ps(values + 8 * i);
        most = _mm256_max_ps(_mm256_and_ps(v[i], magnitude), most);  // a NaN in the first operand gives the second
      }
      __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
      m = _mm_max_ps(m, _mm_movehl_ps(m, m));
      float largest = _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
      float scale = largest / 127;
      float inverse = largest > 0 && largest <= 3.402823466e38f ? 127 / largest : 0;
      __m256i q[4];
      for (int i = 0; i < 4; ++i) {
        __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
        scaled = _mm256_and_ps(scaled, _mm256_cmp_ps(scaled, scaled, _CMP_ORD_Q));
        scaled = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
        q[i] = _mm256_cvtps_epi32(scaled);
      }
      __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
      packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.quants + row * out.cols + block * 32), packed);
      int32_t low = sum_bytes16(_mm256_castsi256_si128(packed)),
              high = sum_bytes16(_mm256_extracti128_si256(packed, 1));
      int64_t at = row * blocks + block;
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(low + high);
      out.offsets32[at] = -128 * (low + high);
      out.sums16[2 * at] = scale * static_cast<float>(low);
      out.sums16[2 * at + 1] = scale * static_cast<float>(high);
      out.offsets16[2 * at] = -128 * low;
      out.offsets16[2 * at + 1] = -128 * high;
    }
  }
}

}  // namespace
