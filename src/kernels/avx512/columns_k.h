// The types with super-blocks of 256, read for sixteen weight rows at once: see avx512/columns.h.
#pragma once

#include "kernels/avx512/columns.h"

namespace retort::kernels::avx512 {
namespace {

/// Byte i of every lane as a number.
RETORT_INLINE __m512i byte_of(__m512i v, int i) {
  return _mm512_and_si512(_mm512_srli_epi32(v, static_cast<unsigned>(8 * i)), _mm512_set1_epi32(255));
}
RETORT_INLINE __m512i signed_byte_of(__m512i v, int i) {
  return _mm512_srai_epi32(_mm512_slli_epi32(v, static_cast<unsigned>(24 - 8 * i)), 24);
}

struct ColumnsIQ4_XS {
  static constexpr int kBlocks = 8, kBytes = 136, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns head(p, stride);
    __m512 d = low_halves(head.v[0]);
#pragma GCC unroll 8
    for (int b = 0; b < 8; ++b) {
      __m512i low = _mm512_and_si512(_mm512_srli_epi32(head.v[1], static_cast<unsigned>(4 * b)), _mm512_set1_epi32(15));
      __m512i high =
          _mm512_and_si512(_mm512_srli_epi32(head.v[0], static_cast<unsigned>(16 + 2 * b)), _mm512_set1_epi32(3));
      __m512i scale = _mm512_sub_epi32(_mm512_or_si512(low, _mm512_slli_epi32(high, 4)), _mm512_set1_epi32(32));
      Columns q(p + 8 + 16 * b, stride);
      sums.begin(b);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b, k, iq4_values(low_nibbles(q.v[k])));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b, 4 + k, iq4_values(high_nibbles(q.v[k])));
      sums.end(b, _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)));
    }
  }
};

/// The eight scales and minima of Q4_K and Q5_K, kept in memory until their block is done.
struct K4Scales {
  __m512 d[8], m[8];
  RETORT_INLINE K4Scales(const uint8_t* p, int64_t stride) {
    Columns head(p, stride);
    const __m512i six = _mm512_set1_epi8(0x3f), four = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30);
    __m512i a = head.v[1], b = head.v[2], c = head.v[3];
    __m512i scales[2] = {_mm512_and_si512(a, six),
                         _mm512_or_si512(_mm512_and_si512(c, four), _mm512_and_si512(_mm512_srli_epi32(a, 2), two))};
    __m512i mins[2] = {_mm512_and_si512(b, six), _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(c, 4), four),
                                                                 _mm512_and_si512(_mm512_srli_epi32(b, 2), two))};
    __m512 super_d = low_halves(head.v[0]), super_m = _mm512_sub_ps(_mm512_setzero_ps(), high_halves(head.v[0]));
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      d[i] = _mm512_mul_ps(super_d, _mm512_cvtepi32_ps(byte_of(scales[i / 4], i % 4)));
      m[i] = _mm512_mul_ps(super_m, _mm512_cvtepi32_ps(byte_of(mins[i / 4], i % 4)));
    }
  }
};

struct ColumnsQ4_K {
  static constexpr int kBlocks = 8, kBytes = 144, kGroup = 32, kShift = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    K4Scales scales(p, stride);
#pragma GCC unroll 1
    for (int b = 0; b < 8; b += 2) {
      Columns first(p + 16 + 16 * b, stride), second(p + 32 + 16 * b, stride);
      sums.begin(b);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b, k, low_nibbles(first.v[k]));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b, 4 + k, low_nibbles(second.v[k]));
      sums.end(b, scales.d[b], scales.m[b]);
      sums.begin(b + 1);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b + 1, k, high_nibbles(first.v[k]));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(b + 1, 4 + k, high_nibbles(second.v[k]));
      sums.end(b + 1, scales.d[b + 1], scales.m[b + 1]);
    }
  }
};

struct ColumnsQ5_K {
  static constexpr int kBlocks = 8, kBytes = 176, kGroup = 32, kShift = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    K4Scales scales(p, stride);
    Columns high[2] = {{p + 16, stride}, {p + 32, stride}};
#pragma GCC unroll 1
    for (int b = 0; b < 8; b += 2) {
      Columns low[2] = {{p + 48 + 16 * b, stride}, {p + 64 + 16 * b, stride}};
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << (b + i)));
        sums.begin(b + i);
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) {
          __m512i q = i == 0 ? low_nibbles(low[k / 4].v[k % 4]) : high_nibbles(low[k / 4].v[k % 4]);
          __mmask64 set = _mm512_test_epi8_mask(high[k / 4].v[k % 4], bit);
          sums.dot(b + i, k, _mm512_mask_add_epi8(q, set, q, _mm512_set1_epi8(16)));
        }
        sums.end(b + i, scales.d[b + i], scales.m[b + i]);
      }
    }
  }
};

struct ColumnsQ6_K {
  static constexpr int kBlocks = 8, kBytes = 210, kGroup = 16, kShift = 2;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns scales(p + 192, stride);
    __m512 super = high_halves(Columns(p + 194, stride).v[3]);
    const __m512i mask = _mm512_set1_epi8(0x30);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        Columns low(p + 64 * half + 16 * part, stride), more(p + 64 * half + 32 + 16 * part, stride);
        Columns high(p + 128 + 32 * half + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          int group = 8 * half + 2 * run + part;
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) {
            __m512i q = run % 2 == 0 ? low.v[k] : more.v[k], h = high.v[k];
            q = run < 2 ? low_nibbles(q) : high_nibbles(q);
            h = run == 0   ? _mm512_slli_epi32(h, 4)
                : run == 1 ? _mm512_slli_epi32(h, 2)
                : run == 2 ? h
                           : _mm512_srli_epi32(h, 2);
            sums.dot(group, k, _mm512_ternarylogic_epi32(q, h, mask, 0xf8));  // q | (h & mask)
          }
          __m512i scale = signed_byte_of(scales.v[group / 4], group % 4);
          sums.end(group, _mm512_mul_ps(super, _mm512_cvtepi32_ps(scale)));
        }
      }
    }
  }
};

struct ColumnsQ2_K {
  static constexpr int kBlocks = 8, kBytes = 84, kGroup = 16, kShift = 0, kMost = 3;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns scales(p, stride);
    __m512i super = Columns(p + 68, stride).v[3];
    __m512 d = low_halves(super), m = _mm512_sub_ps(_mm512_setzero_ps(), high_halves(super));
    const __m512i three = _mm512_set1_epi8(3);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        Columns pairs(p + 16 + 32 * half + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          int group = 8 * half + 2 * run + part;
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k)
            sums.dot(group, k, _mm512_and_si512(_mm512_srli_epi32(pairs.v[k], static_cast<unsigned>(2 * run)), three));
          __m512i both = byte_of(scales.v[group / 4], group % 4);
          sums.end(group, _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_and_si512(both, _mm512_set1_epi32(15)))),
                   _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_srli_epi32(both, 4))));
        }
      }
    }
  }
};

struct ColumnsQ3_K {
  static constexpr int kBlocks = 8, kBytes = 110, kGroup = 16, kShift = 5;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns tail(p + 94, stride);  // two bytes of quants, 12 of scales, d
    __m512 super = high_halves(tail.v[3]);
    __m512i a = two_bytes_on(tail.v[0], tail.v[1]), b = two_bytes_on(tail.v[1], tail.v[2]);
    __m512i c = two_bytes_on(tail.v[2], tail.v[3]);
    const __m512i four = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30), three = _mm512_set1_epi8(3);
    auto join = [&](__m512i low, __m512i high) {
      return _mm512_or_si512(_mm512_and_si512(low, four), _mm512_and_si512(high, two));
    };
    __m512i scales[4] = {join(a, _mm512_slli_epi32(c, 4)), join(b, _mm512_slli_epi32(c, 2)),
                         join(_mm512_srli_epi32(a, 4), c), join(_mm512_srli_epi32(b, 4), _mm512_srli_epi32(c, 2))};
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        Columns pairs(p + 32 + 32 * half + 16 * part, stride), high(p + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          int group = 8 * half + 2 * run + part;
          const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << (4 * half + run)));
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) {
            __m512i q = _mm512_and_si512(_mm512_srli_epi32(pairs.v[k], static_cast<unsigned>(2 * run)), three);
            __mmask64 set = _mm512_test_epi8_mask(high.v[k], bit);
            sums.dot(group, k, _mm512_mask_add_epi8(q, set, q, _mm512_set1_epi8(4)));
          }
          __m512i scale = _mm512_sub_epi32(byte_of(scales[group / 4], group % 4), _mm512_set1_epi32(32));
          sums.end(group, _mm512_mul_ps(super, _mm512_cvtepi32_ps(scale)));
        }
      }
    }
  }
};

}  // namespace
}  // namespace retort::kernels::avx512
