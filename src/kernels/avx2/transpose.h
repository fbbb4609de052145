// Transposes 8 x 8 four-byte values.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

/// out[k * stride + r] = rows[r][k].
inline void transpose_steps(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(rows[i]));
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    __m256 *in = b + 4 * i, *to = a + 4 * i;
    to[0] = _mm256_shuffle_ps(in[0], in[2], 0x44);
    to[1] = _mm256_shuffle_ps(in[0], in[2], 0xEE);
    to[2] = _mm256_shuffle_ps(in[1], in[3], 0x44);
    to[3] = _mm256_shuffle_ps(in[1], in[3], 0xEE);
  }
  for (int k = 0; k < 4; ++k) {
    _mm256_storeu_ps(reinterpret_cast<float*>(out + k * stride), _mm256_permute2f128_ps(a[k], a[4 + k], 0x20));
    _mm256_storeu_ps(reinterpret_cast<float*>(out + (k + 4) * stride), _mm256_permute2f128_ps(a[k], a[4 + k], 0x31));
  }
}

}  // namespace
