// How each quantized type is read with AVX-512 for sixteen weight rows at once: lane r of a vector holds four
// consecutive quants of row r, the order that vpdpbusd wants, straight from the file's blocks, in registers. Rows lie
// `stride` bytes apart. Here are the types with blocks of 32, in columns_k.h the others. Only files of this folder
// include this. Layouts: tensor/blocks.h.
//
// A reader is a struct with
//   kBlocks   blocks of 32 that one call of read() covers: 1, or the 8 of a super-block
//   kBytes    their size
//   kGroup    elements that share a scale: 32 or 16
//   kHasMin   value = d * q + m, q at most kMost; otherwise value = d * (q - 128 / 2^kShift)
//   read      calls, for each group in order of memory: sums.begin(group); sums.dot(group, k, q) with q the quants of
//             elements 4k .. 4k + 3 of the group; and sums.end(group, d), or sums.end(group, d, m)
#pragma once

#include "kernels/avx512/quants.h"

namespace retort::kernels::avx512 {
namespace {

#define RETORT_INLINE inline __attribute__((always_inline))

/// Sixteen bytes of each of rows i, i + 4, i + 8 and i + 12.
RETORT_INLINE __m512i every_fourth_row(const uint8_t* p, int64_t stride) {
  __m512i v = _mm512_castsi128_si512(load16(p));
  v = _mm512_mask_broadcast_i32x4(v, 0x00f0, load16(p + 4 * stride));
  v = _mm512_mask_broadcast_i32x4(v, 0x0f00, load16(p + 8 * stride));
  return _mm512_mask_broadcast_i32x4(v, 0xf000, load16(p + 12 * stride));
}

/// The four columns of dwords in the 16 bytes at p of each row.
struct Columns {
  __m512i v[4];
  RETORT_INLINE Columns(const uint8_t* p, int64_t stride) {
    __m512i a = every_fourth_row(p, stride), b = every_fourth_row(p + stride, stride);
    __m512i c = every_fourth_row(p + 2 * stride, stride), d = every_fourth_row(p + 3 * stride, stride);
    __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    v[0] = _mm512_unpacklo_epi64(ab, cd);
    v[1] = _mm512_unpackhi_epi64(ab, cd);
    ab = _mm512_unpackhi_epi32(a, b), cd = _mm512_unpackhi_epi32(c, d);
    v[2] = _mm512_unpacklo_epi64(ab, cd);
    v[3] = _mm512_unpackhi_epi64(ab, cd);
  }
};

RETORT_INLINE __m512i low_nibbles(__m512i v) {
  return _mm512_and_si512(v, _mm512_set1_epi8(15));
}
RETORT_INLINE __m512i high_nibbles(__m512i v) {
  return _mm512_and_si512(_mm512_srli_epi32(v, 4), _mm512_set1_epi8(15));
}

/// The lower halves of all lanes as floats, and the upper ones.
RETORT_INLINE __m512 low_halves(__m512i v) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}
RETORT_INLINE __m512 high_halves(__m512i v) {
  return low_halves(_mm512_srli_epi32(v, 16));
}

/// The upper half of a, then the lower half of b: what lies two bytes into a.
RETORT_INLINE __m512i two_bytes_on(__m512i a, __m512i b) {
  return _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_slli_epi32(b, 16));
}

/// Adds `value` to every byte of q whose bit of a row's 32 is set; these are bits 4k .. 4k + 3.
RETORT_INLINE __m512i with_bits(__m512i q, __m512i bits, int k, int value) {
  const __m512i spread =
      _mm512_add_epi32(_mm512_set1_epi32((k / 2) * 0x01010101),
                       _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c)));
  const __m512i which = _mm512_set1_epi32(k % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
  __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, spread), which);
  return _mm512_mask_add_epi8(q, set, q, _mm512_set1_epi8(static_cast<char>(value)));
}

/// A block of 32 nibbles, the low ones first.
template <class Sums, class Map>
RETORT_INLINE void nibble_block(const uint8_t* p, int64_t stride, Sums& sums, Map map) {
  Columns q(p, stride);
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) sums.dot(0, k, map(k, low_nibbles(q.v[k])));
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) sums.dot(0, 4 + k, map(4 + k, high_nibbles(q.v[k])));
}

RETORT_INLINE __m512i first_column(const uint8_t* p, int64_t stride) {
  return Columns(p, stride).v[0];  // the rest is not computed
}

struct ColumnsQ4_0 {
  static constexpr int kBlocks = 1, kBytes = 18, kGroup = 32, kShift = 4;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 2, stride, sums, [](int, __m512i q) { return q; });
    sums.end(0, low_halves(first_column(p, stride)));
  }
};

struct ColumnsQ4_1 {
  static constexpr int kBlocks = 1, kBytes = 20, kGroup = 32, kShift = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 4, stride, sums, [](int, __m512i q) { return q; });
    __m512i head = first_column(p, stride);
    sums.end(0, low_halves(head), high_halves(head));
  }
};

struct ColumnsQ5_0 {
  static constexpr int kBlocks = 1, kBytes = 22, kGroup = 32, kShift = 3;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns head(p, stride);
    __m512i bits = two_bytes_on(head.v[0], head.v[1]);
    sums.begin(0);
    nibble_block(p + 6, stride, sums, [&](int k, __m512i q) { return with_bits(q, bits, k, 16); });
    sums.end(0, low_halves(head.v[0]));
  }
};

struct ColumnsQ5_1 {
  static constexpr int kBlocks = 1, kBytes = 24, kGroup = 32, kShift = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns head(p, stride);
    sums.begin(0);
    nibble_block(p + 8, stride, sums, [&](int k, __m512i q) { return with_bits(q, head.v[1], k, 16); });
    sums.end(0, low_halves(head.v[0]), high_halves(head.v[0]));
  }
};

struct ColumnsQ8_0 {
  static constexpr int kBlocks = 1, kBytes = 34, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Columns q(p + 2 + 16 * half, stride);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, 4 * half + k, _mm512_xor_si512(q.v[k], _mm512_set1_epi8(-128)));
    }
    sums.end(0, low_halves(first_column(p, stride)));
  }
};

struct ColumnsIQ4_NL {
  static constexpr int kBlocks = 1, kBytes = 18, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 2, stride, sums, [](int, __m512i q) { return iq4_values(q); });
    sums.end(0, low_halves(first_column(p, stride)));
  }
};

}  // namespace
}  // namespace retort::kernels::avx512
