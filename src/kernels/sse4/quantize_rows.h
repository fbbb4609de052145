// Activations to 8 bits with SSE4.1.
#pragma once

#include <immintrin.h>

#include "kernels/simd/quantize_rows.h"
#include "kernels/x86/sum_bytes.h"

namespace {

struct FloatBlock {
  __m128 v[8];

  explicit FloatBlock(const float* values) {
    for (int i = 0; i < 8; ++i) v[i] = _mm_loadu_ps(values + 4 * i);
  }
  float largest() const {
    const __m128 magnitude = _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff));
    __m128 most = _mm_setzero_ps();  // a NaN in the first operand gives the second
    for (__m128 x : v) most = _mm_max_ps(_mm_and_ps(x, magnitude), most);
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_shuffle_ps(most, most, 1)));
  }
  void store(float inverse, int8_t* quants, int32_t* sums) const {
    for (int half = 0; half < 2; ++half) {
      __m128i q[4];
      for (int i = 0; i < 4; ++i) {
        __m128 scaled = _mm_mul_ps(v[4 * half + i], _mm_set1_ps(inverse));
        scaled = _mm_and_ps(scaled, _mm_cmpord_ps(scaled, scaled));
        q[i] = _mm_cvtps_epi32(_mm_min_ps(_mm_max_ps(scaled, _mm_set1_ps(-127)), _mm_set1_ps(127)));
      }
      __m128i packed = _mm_packs_epi16(_mm_packs_epi32(q[0], q[1]), _mm_packs_epi32(q[2], q[3]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(quants + 16 * half), packed);
      sums[half] = sum_bytes16(packed);
    }
  }
};

}  // namespace
