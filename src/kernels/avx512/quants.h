// How each quantized type is read with AVX-512: 64 unsigned quants (two blocks of 32) in one vector, and the scales of
// 256 elements at once. Only files of this folder include this. Layouts: tensor/blocks.h.
//
// A type is a struct with
//   kBytes   bytes of 256 elements (eight blocks of 32, or one super-block)
//   kGroup   elements that share a scale: 32 or 16
//   kOffset  value = d * (q - kOffset) unless
//   kHasMin  value = d * q + m with an m of its own
//   Scales   a vector of one float per group of 256 elements
//   pair<S>  the quants of blocks 2S and 2S + 1, in order
//   scales   d and m of the 256 elements at p
// All of them may read the whole kBytes, also where a row ends sooner.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace retort::kernels::avx512 {
namespace {

inline uint64_t load_u16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}

inline uint64_t load_u32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

inline float load_half(const uint8_t* p) {
  return _cvtsh_ss(static_cast<uint16_t>(load_u16(p)));
}

inline __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m512i load64(const void* p) {
  return _mm512_loadu_si512(p);
}

/// The halves at p, p + stride, ..., p + 7 * stride as floats. Put together in scalar registers: the shuffle port is
/// the busy one.
template <int kStride>
inline __m256 strided_halves(const uint8_t* p) {
  uint64_t low =
      load_u16(p) | load_u16(p + kStride) << 16 | load_u16(p + 2 * kStride) << 32 | load_u16(p + 3 * kStride) << 48;
  uint64_t high = load_u16(p + 4 * kStride) | load_u16(p + 5 * kStride) << 16 | load_u16(p + 6 * kStride) << 32 |
                  load_u16(p + 7 * kStride) << 48;
  return _mm256_cvtph_ps(_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
}

/// Splits eight pairs of halves (d, m).
inline void split_pairs(__m256i pairs, __m256* d, __m256* m) {
  *d = _mm256_cvtph_ps(_mm256_cvtepi32_epi16(pairs));
  *m = _mm256_cvtph_ps(_mm256_cvtepi32_epi16(_mm256_srli_epi32(pairs, 16)));
}

/// 16 bytes at a and 16 at b, each twice.
inline __m512i twice(const uint8_t* a, const uint8_t* b) {
  return _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load16(a)), 0xff00, load16(b));
}

/// Two blocks' nibbles: the low ones of 16 bytes, then the high ones.
inline __m512i nibbles(const uint8_t* a, const uint8_t* b) {
  const __m512i shifts = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
  return _mm512_and_si512(_mm512_srlv_epi32(twice(a, b), shifts), _mm512_set1_epi8(15));
}

inline __mmask64 bits(const uint8_t* a, const uint8_t* b) {
  return _cvtu64_mask64(load_u32(a) | load_u32(b) << 32);
}

struct Q4_0 {
  static constexpr int kBytes = 8 * 18, kGroup = 32, kOffset = 8;
  static constexpr bool kHasMin = false;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return nibbles(p + S * 36 + 2, p + S * 36 + 20);
  }
  static void scales(const uint8_t* p, __m256* d, __m256*) { *d = strided_halves<18>(p); }
};

struct Q4_1 {
  static constexpr int kBytes = 8 * 20, kGroup = 32, kOffset = 0;
  static constexpr bool kHasMin = true;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return nibbles(p + S * 40 + 4, p + S * 40 + 24);
  }
  static void scales(const uint8_t* p, __m256* d, __m256* m) {
    const __m512i which = _mm512_setr_epi32(0, 5, 10, 15, 20, 25, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i pairs = _mm512_castsi512_si256(_mm512_permutex2var_epi32(load64(p), which, load64(p + 64)));
    split_pairs(_mm256_mask_set1_epi32(pairs, 0x80, static_cast<int>(load_u32(p + 140))), d, m);
  }
};

struct Q5_0 {
  static constexpr int kBytes = 8 * 22, kGroup = 32, kOffset = 16;
  static constexpr bool kHasMin = false;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i low = nibbles(p + S * 44 + 6, p + S * 44 + 28);
    return _mm512_mask_add_epi8(low, bits(p + S * 44 + 2, p + S * 44 + 24), low, _mm512_set1_epi8(16));
  }
  static void scales(const uint8_t* p, __m256* d, __m256*) { *d = strided_halves<22>(p); }
};

struct Q5_1 {
  static constexpr int kBytes = 8 * 24, kGroup = 32, kOffset = 0;
  static constexpr bool kHasMin = true;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i low = nibbles(p + S * 48 + 8, p + S * 48 + 32);
    return _mm512_mask_add_epi8(low, bits(p + S * 48 + 4, p + S * 48 + 28), low, _mm512_set1_epi8(16));
  }
  static void scales(const uint8_t* p, __m256* d, __m256* m) {
    const __m512i which = _mm512_setr_epi32(0, 6, 12, 18, 24, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i pairs = _mm512_castsi512_si256(_mm512_permutex2var_epi32(load64(p), which, load64(p + 64)));
    pairs = _mm256_mask_set1_epi32(pairs, 0x40, static_cast<int>(load_u32(p + 144)));
    split_pairs(_mm256_mask_set1_epi32(pairs, 0x80, static_cast<int>(load_u32(p + 168))), d, m);
  }
};

struct Q8_0 {
  static constexpr int kBytes = 8 * 34, kGroup = 32, kOffset = 128;
  static constexpr bool kHasMin = false;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i both = _mm512_castsi256_si512(load32(p + S * 68 + 2));
    return _mm512_xor_si512(_mm512_inserti64x4(both, load32(p + S * 68 + 36), 1), _mm512_set1_epi8(-128));
  }
  static void scales(const uint8_t* p, __m256* d, __m256*) { *d = strided_halves<34>(p); }
};

/// The sixteen values of IQ4, plus 128.
inline __m512i iq4_values(__m512i indices) {
  const __m128i table = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), indices);
}

struct IQ4_NL {
  static constexpr int kBytes = 8 * 18, kGroup = 32, kOffset = 128;
  static constexpr bool kHasMin = false;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return iq4_values(nibbles(p + S * 36 + 2, p + S * 36 + 20));
  }
  static void scales(const uint8_t* p, __m256* d, __m256*) { *d = strided_halves<18>(p); }
};

struct IQ4_XS {
  static constexpr int kBytes = 136, kGroup = 32, kOffset = 128;
  static constexpr bool kHasMin = false;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return iq4_values(nibbles(p + 8 + S * 32, p + 24 + S * 32));
  }
  static void scales(const uint8_t* p, __m256* d, __m256*) {
    const __m256i nibble_shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i pair_shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u32(p + 4))), nibble_shifts);
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u16(p + 2))), pair_shifts);
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    *d = _mm256_mul_ps(_mm256_cvtepi32_ps(scale), _mm256_set1_ps(load_half(p)));
  }
};

/// Eight bytes (unsigned) as floats, times a factor.
inline __m256 scaled_bytes(uint64_t bytes, float factor) {
  __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(factor));
}

/// The eight 6-bit scales and mins of Q4_K and Q5_K.
inline void k4_scales(const uint8_t* p, __m256* d, __m256* m) {
  uint64_t a = load_u32(p + 4), b = load_u32(p + 8), c = load_u32(p + 12);
  uint64_t scales = (a & 0x3f3f3f3fU) | ((c & 0x0f0f0f0fU) | (a >> 2 & 0x30303030U)) << 32;
  uint64_t mins = (b & 0x3f3f3f3fU) | ((c >> 4 & 0x0f0f0f0fU) | (b >> 2 & 0x30303030U)) << 32;
  *d = scaled_bytes(scales, load_half(p));
  *m = scaled_bytes(mins, -load_half(p + 2));
}

/// The same 32 bytes in both halves, the upper half's `kBits` further to the right, after a shift of S * 2 * kBits.
template <int S, int kBits>
inline __m512i runs(const uint8_t* p) {
  constexpr int a = S * 2 * kBits, b = a + kBits;
  const __m512i shifts = _mm512_setr_epi32(a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b);
  return _mm512_and_si512(_mm512_srlv_epi32(_mm512_broadcast_i64x4(load32(p)), shifts),
                          _mm512_set1_epi8((1 << kBits) - 1));
}

/// Which bytes of the 32 at p have bit kBit set, then which have bit kBit + 1.
template <int kBit>
inline __mmask64 bit_runs(const uint8_t* p) {
  const __m512i which = _mm512_inserti64x4(_mm512_set1_epi8(static_cast<char>(1 << kBit)),
                                           _mm256_set1_epi8(static_cast<char>(2 << kBit)), 1);
  return _mm512_test_epi8_mask(_mm512_broadcast_i64x4(load32(p)), which);
}

struct Q4_K {
  static constexpr int kBytes = 144, kGroup = 32, kOffset = 0;
  static constexpr bool kHasMin = true;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return runs<0, 4>(p + 16 + 32 * S);
  }
  static void scales(const uint8_t* p, __m256* d, __m256* m) { k4_scales(p, d, m); }
};

struct Q5_K {
  static constexpr int kBytes = 176, kGroup = 32, kOffset = 0;
  static constexpr bool kHasMin = true;
  using Scales = __m256;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i low = runs<0, 4>(p + 48 + 32 * S);
    return _mm512_mask_add_epi8(low, bit_runs<2 * S>(p + 16), low, _mm512_set1_epi8(16));
  }
  static void scales(const uint8_t* p, __m256* d, __m256* m) { k4_scales(p, d, m); }
};

struct Q6_K {
  static constexpr int kBytes = 210, kGroup = 16, kOffset = 32;
  static constexpr bool kHasMin = false;
  using Scales = __m512;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i low = load64(p + 64 * (S / 2)), high = _mm512_broadcast_i64x4(load32(p + 128 + 32 * (S / 2)));
    if constexpr (S % 2 == 0) {
      const __m512i shifts = _mm512_setr_epi32(4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2);
      high = _mm512_sllv_epi32(high, shifts);
    } else {
      const __m512i shifts = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
      high = _mm512_srlv_epi32(high, shifts);
      low = _mm512_srli_epi32(low, 4);
    }
    low = _mm512_and_si512(low, _mm512_set1_epi8(15));
    return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8(0x30), 0xf8);  // low | (high & 0x30)
  }
  static void scales(const uint8_t* p, __m512* d, __m512*) {
    __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p + 192)));
    *d = _mm512_mul_ps(scale, _mm512_set1_ps(load_half(p + 208)));
  }
};

struct Q2_K {
  static constexpr int kBytes = 84, kGroup = 16, kOffset = 0;
  static constexpr bool kHasMin = true;
  using Scales = __m512;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    return runs<S % 2, 2>(p + 16 + 32 * (S / 2));
  }
  static void scales(const uint8_t* p, __m512* d, __m512* m) {
    __m512i all = _mm512_cvtepu8_epi32(load16(p));
    *d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_and_si512(all, _mm512_set1_epi32(15))),
                       _mm512_set1_ps(load_half(p + 80)));
    *m = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(all, 4)), _mm512_set1_ps(-load_half(p + 82)));
  }
};

struct Q3_K {
  static constexpr int kBytes = 110, kGroup = 16, kOffset = 4;
  static constexpr bool kHasMin = false;
  using Scales = __m512;
  template <int S>
  static __m512i pair(const uint8_t* p) {
    __m512i low = runs<S % 2, 2>(p + 32 + 32 * (S / 2));
    return _mm512_mask_add_epi8(low, bit_runs<2 * S>(p), low, _mm512_set1_epi8(4));
  }
  static void scales(const uint8_t* p, __m512* d, __m512*) {
    uint64_t a = load_u32(p + 96), b = load_u32(p + 100), c = load_u32(p + 104);
    uint64_t low = (a & 0x0f0f0f0fU) | (c << 4 & 0x30303030U) | ((b & 0x0f0f0f0fU) | (c << 2 & 0x30303030U)) << 32;
    uint64_t high =
        (a >> 4 & 0x0f0f0f0fU) | (c & 0x30303030U) | ((b >> 4 & 0x0f0f0f0fU) | (c >> 2 & 0x30303030U)) << 32;
    __m512i scale = _mm512_cvtepu8_epi32(_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
    *d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(scale, _mm512_set1_epi32(32))),
                       _mm512_set1_ps(load_half(p + 108)));
  }
};

}  // namespace
}  // namespace retort::kernels::avx512
