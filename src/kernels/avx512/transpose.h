// Transposes 16 x 16 four-byte values.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

/// out[k * stride + r] = rows[r][k].
inline void transpose_steps(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
  __m512i a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_si512(rows[i]);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
    a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
  }
  // a[4 i + j]: of rows 4 i to 4 i + 3, column j in the first 128 bits, then j + 4, j + 8, j + 12.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    __m512i low01 = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88), high01 = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xDD);
    __m512i low23 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88),
            high23 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xDD);
    // low01: columns j, j + 8 of rows 0-3, then of rows 4-7; high01: columns j + 4, j + 12.
    _mm512_storeu_si512(out + j * stride, _mm512_shuffle_i32x4(low01, low23, 0x88));
    _mm512_storeu_si512(out + (j + 4) * stride, _mm512_shuffle_i32x4(high01, high23, 0x88));
    _mm512_storeu_si512(out + (j + 8) * stride, _mm512_shuffle_i32x4(low01, low23, 0xDD));
    _mm512_storeu_si512(out + (j + 12) * stride, _mm512_shuffle_i32x4(high01, high23, 0xDD));
  }
}

}  // namespace
