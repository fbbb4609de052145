// How each quantized type is read with AVX2: 32 unsigned quants at a time, and the scales of 256 elements at once.
// Only files of an x86 instruction set's folder include this; everything has internal linkage, because each of them is
// compiled with flags of its own. Layouts: tensor/blocks.h.
//
// A type is a struct with
//   kBytes     bytes of 256 elements (eight blocks of 32, or one super-block)
//   kGroup     elements that share a scale: 32 or 16
//   kHasMin    value = d * q + m with an m of its own; otherwise value = d * (q - kOffset)
//   kMost      the largest quant
//   quants<S>  the quants of the S-th 32 elements, in order
//   scales     d and m of the groups: one vector for groups of 32, two for groups of 16; groups past `count` blocks are
//   0
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/x86/halves.h"

namespace {

inline float load_half(const uint8_t* p) {
  return _cvtsh_ss(load_u16(p));
}

inline __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// 16 bytes of nibbles as 32 bytes: the low ones first.
inline __m256i nibbles(const uint8_t* p) {
  __m128i both = load16(p);
  return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(15));
}

/// 32 bits as 32 bytes, each `bit` or 0.
inline __m256i spread_bits(uint32_t bits, char bit) {
  __m256i which = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  __m256i mask = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), which), mask);
  return _mm256_and_si256(_mm256_cmpeq_epi8(spread, mask), _mm256_set1_epi8(bit));
}

/// The halves at p, p + stride, ... (`count` of them, at most 8) as floats.
template <int kStride>
inline __m256 strided_halves(const uint8_t* p, int count) {
  if (count == 8) return eight_halves(p, kStride);
  uint16_t halves[8] = {};
  for (int i = 0; i < count; ++i) halves[i] = load_u16(p + i * kStride);
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
}

/// The pairs of halves (d, m) at p, p + stride, ... as two vectors.
template <int kStride>
inline void strided_pairs(const uint8_t* p, int count, __m256* d, __m256* m) {
  if (count == 8) return eight_pairs(p, kStride, *d, *m);
  uint32_t pairs[8] = {};
  for (int i = 0; i < count; ++i) pairs[i] = load_u32(p + i * kStride);
  eight_pairs(reinterpret_cast<const uint8_t*>(pairs), 4, *d, *m);
}

/// Eight bytes (unsigned) as floats.
inline __m256 bytes_to_floats(uint64_t bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes))));
}

struct Q4_0 {
  static constexpr int kBytes = 8 * 18, kGroup = 32, kOffset = 8, kMost = 15;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return nibbles(p + S * 18 + 2);
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256*) { *d = strided_halves<18>(p, count); }
};

struct Q4_1 {
  static constexpr int kBytes = 8 * 20, kGroup = 32, kOffset = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return nibbles(p + S * 20 + 4);
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256* m) { strided_pairs<20>(p, count, d, m); }
};

struct Q5_0 {
  static constexpr int kBytes = 8 * 22, kGroup = 32, kOffset = 16, kMost = 31;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return _mm256_or_si256(nibbles(p + S * 22 + 6), spread_bits(load_u32(p + S * 22 + 2), 16));
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256*) { *d = strided_halves<22>(p, count); }
};

struct Q5_1 {
  static constexpr int kBytes = 8 * 24, kGroup = 32, kOffset = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return _mm256_or_si256(nibbles(p + S * 24 + 8), spread_bits(load_u32(p + S * 24 + 4), 16));
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256* m) { strided_pairs<24>(p, count, d, m); }
};

struct Q8_0 {
  static constexpr int kBytes = 8 * 34, kGroup = 32, kOffset = 128, kMost = 255;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return _mm256_xor_si256(load32(p + S * 34 + 2), _mm256_set1_epi8(-128));
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256*) { *d = strided_halves<34>(p, count); }
};

/// The sixteen values of IQ4, plus 128.
inline __m256i iq4_values(__m256i indices) {
  const __m128i table = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), indices);
}

struct IQ4_NL {
  static constexpr int kBytes = 8 * 18, kGroup = 32, kOffset = 128, kMost = 255;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return iq4_values(nibbles(p + S * 18 + 2));
  }
  static void scales(const uint8_t* p, int count, __m256* d, __m256*) { *d = strided_halves<18>(p, count); }
};

struct IQ4_XS {
  static constexpr int kBytes = 136, kGroup = 32, kOffset = 128, kMost = 255;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return iq4_values(nibbles(p + 8 + S * 16));
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256*) {
    const __m256i nibble_shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i pair_shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i low = _mm256_and_si256(
        _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u32(p + 4))), nibble_shifts), _mm256_set1_epi32(15));
    __m256i high =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(load_u16(p + 2)), pair_shifts), _mm256_set1_epi32(3));
    __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, _mm256_slli_epi32(high, 4)), _mm256_set1_epi32(32));
    *d = _mm256_mul_ps(_mm256_cvtepi32_ps(scale), _mm256_set1_ps(load_half(p)));
  }
};

/// The eight 6-bit scales and mins of Q4_K and Q5_K.
inline void k4_scales(const uint8_t* p, __m256* d, __m256* m) {
  uint32_t a = load_u32(p + 4), b = load_u32(p + 8), c = load_u32(p + 12);
  uint64_t scales = (a & 0x3f3f3f3fU) | static_cast<uint64_t>((c & 0x0f0f0f0fU) | (a >> 2 & 0x30303030U)) << 32;
  uint64_t mins = (b & 0x3f3f3f3fU) | static_cast<uint64_t>((c >> 4 & 0x0f0f0f0fU) | (b >> 2 & 0x30303030U)) << 32;
  *d = _mm256_mul_ps(bytes_to_floats(scales), _mm256_set1_ps(load_half(p)));
  *m = _mm256_mul_ps(bytes_to_floats(mins), _mm256_set1_ps(-load_half(p + 2)));
}

/// The S-th 32 nibbles of a super-block that keeps two runs of 32 in each 32 bytes.
template <int S>
inline __m256i k4_nibbles(const uint8_t* qs) {
  __m256i both = load32(qs + S / 2 * 32);
  if (S % 2 == 1) both = _mm256_srli_epi16(both, 4);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

struct Q4_K {
  static constexpr int kBytes = 144, kGroup = 32, kOffset = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return k4_nibbles<S>(p + 16);
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256* m) { k4_scales(p, d, m); }
};

struct Q5_K {
  static constexpr int kBytes = 176, kGroup = 32, kOffset = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    __m256i high = load32(p + 16);
    high = S <= 4 ? _mm256_slli_epi16(high, S <= 4 ? 4 - S : 0) : _mm256_srli_epi16(high, S > 4 ? S - 4 : 0);
    return _mm256_or_si256(k4_nibbles<S>(p + 48), _mm256_and_si256(high, _mm256_set1_epi8(16)));
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256* m) { k4_scales(p, d, m); }
};

/// Two bits of each of 32 bytes, from bit `kShift` on, moved to bit `kTo`.
template <int kShift, int kTo>
inline __m256i bit_pairs(__m256i bytes) {
  constexpr int kMove = kShift - kTo;
  if constexpr (kMove > 0) bytes = _mm256_srli_epi16(bytes, kMove);
  if constexpr (kMove < 0) bytes = _mm256_slli_epi16(bytes, -kMove);
  return _mm256_and_si256(bytes, _mm256_set1_epi8(3 << kTo));
}

struct Q6_K {
  static constexpr int kBytes = 210, kGroup = 16, kOffset = 32, kMost = 63;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    constexpr int kHalf = S / 4, kPart = S % 4;
    __m256i low = load32(p + 64 * kHalf + 32 * (kPart % 2));
    if (kPart >= 2) low = _mm256_srli_epi16(low, 4);
    __m256i high = bit_pairs<2 * kPart, 4>(load32(p + 128 + 32 * kHalf));
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)), high);
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256*) {
    __m128i all = load16(p + 192);
    __m256 super = _mm256_set1_ps(load_half(p + 208));
    d[0] = _mm256_mul_ps(super, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all)));
    d[1] = _mm256_mul_ps(super, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(all, 8))));
  }
};

struct Q2_K {
  static constexpr int kBytes = 84, kGroup = 16, kOffset = 0, kMost = 3;
  static constexpr bool kHasMin = true;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    return bit_pairs<2 * (S % 4), 0>(load32(p + 16 + 32 * (S / 4)));
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256* m) {
    __m128i all = load16(p), low = _mm_set1_epi8(15);
    __m128i scale = _mm_and_si128(all, low), min = _mm_and_si128(_mm_srli_epi16(all, 4), low);
    __m256 super_d = _mm256_set1_ps(load_half(p + 80)), super_m = _mm256_set1_ps(-load_half(p + 82));
    d[0] = _mm256_mul_ps(super_d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(scale)));
    d[1] = _mm256_mul_ps(super_d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(scale, 8))));
    m[0] = _mm256_mul_ps(super_m, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(min)));
    m[1] = _mm256_mul_ps(super_m, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(min, 8))));
  }
};

struct Q3_K {
  static constexpr int kBytes = 110, kGroup = 16, kOffset = 4, kMost = 7;
  static constexpr bool kHasMin = false;
  template <int S>
  static __m256i quants(const uint8_t* p) {
    __m256i high = load32(p);
    high = S <= 2 ? _mm256_slli_epi16(high, S <= 2 ? 2 - S : 0) : _mm256_srli_epi16(high, S > 2 ? S - 2 : 0);
    return _mm256_or_si256(bit_pairs<2 * (S % 4), 0>(load32(p + 32 + 32 * (S / 4))),
                           _mm256_and_si256(high, _mm256_set1_epi8(4)));
  }
  static void scales(const uint8_t* p, int, __m256* d, __m256*) {
    uint32_t a = load_u32(p + 96), b = load_u32(p + 100), c = load_u32(p + 104);
    uint64_t low = (a & 0x0f0f0f0fU) | (c << 4 & 0x30303030U) |
                   static_cast<uint64_t>((b & 0x0f0f0f0fU) | (c << 2 & 0x30303030U)) << 32;
    uint64_t high = (a >> 4 & 0x0f0f0f0fU) | (c & 0x30303030U) |
                    static_cast<uint64_t>((b >> 4 & 0x0f0f0f0fU) | (c >> 2 & 0x30303030U)) << 32;
    __m256 super = _mm256_set1_ps(load_half(p + 108)), middle = _mm256_set1_ps(32);
    d[0] = _mm256_mul_ps(super, _mm256_sub_ps(bytes_to_floats(low), middle));
    d[1] = _mm256_mul_ps(super, _mm256_sub_ps(bytes_to_floats(high), middle));
  }
};

}  // namespace
