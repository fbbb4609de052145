// Transposes 4 x 4 four-byte values.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

/// out[k * stride + r] = rows[r][k].
inline void transpose_steps(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
  __m128 row[4];
  for (int i = 0; i < 4; ++i) row[i] = _mm_loadu_ps(reinterpret_cast<const float*>(rows[i]));
  _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
  for (int i = 0; i < 4; ++i) _mm_storeu_ps(reinterpret_cast<float*>(out + i * stride), row[i]);
}

}  // namespace
