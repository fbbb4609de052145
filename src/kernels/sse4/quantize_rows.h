// Activations to 8 bits with SSE4.1, one block of 32 at a time.
#pragma once

#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/x86/sum_bytes.h"

namespace {

/// Sixteen values times `inverse` as bytes; NaN becomes 0.
inline __m128i quantize16(const __m128* values, float inverse) {
  __m128i q[4];
  for (int i = 0; i < 4; ++i) {
    __m128 scaled = _mm_mul_ps(values[i], _mm_set1_ps(inverse));
    scaled = _mm_and_ps(scaled, _mm_cmpord_ps(scaled, scaled));
    q[i] = _mm_cvtps_epi32(_mm_min_ps(_mm_max_ps(scaled, _mm_set1_ps(-127)), _mm_set1_ps(127)));
  }
  return _mm_packs_epi16(_mm_packs_epi32(q[0], q[1]), _mm_packs_epi32(q[2], q[3]));
}

void quantize_rows(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out, int64_t row_begin,
                   int64_t row_end) {
  int64_t blocks = out.cols / 32;
  const __m128 magnitude = _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff));
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* values = x + row * stride + block * 32;
      __m128 v[8], most = _mm_setzero_ps();
      for (int i = 0; i < 8; ++i) {
        v[i] = _mm_loadu_ps(values + 4 * i);
        most = _mm_max_ps(_mm_and_ps(v[i], magnitude), most);  // a NaN in the first operand gives the second
      }
      most = _mm_max_ps(most, _mm_movehl_ps(most, most));
      float largest = _mm_cvtss_f32(_mm_max_ss(most, _mm_shuffle_ps(most, most, 1)));
      float scale = largest / 127;
      float inverse = largest > 0 && largest <= 3.402823466e38f ? 127 / largest : 0;
      int64_t at = row * blocks + block;
      int32_t sums[2];
      for (int half = 0; half < 2; ++half) {
        __m128i quants = quantize16(v + 4 * half, inverse);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out.quants + row * out.cols + block * 32 + 16 * half), quants);
        sums[half] = sum_bytes16(quants);
        out.sums16[2 * at + half] = scale * static_cast<float>(sums[half]);
        out.offsets16[2 * at + half] = -128 * sums[half];
      }
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(sums[0] + sums[1]);
      out.offsets32[at] = -128 * (sums[0] + sums[1]);
    }
  }
}

}  // namespace
