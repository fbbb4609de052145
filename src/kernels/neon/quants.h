// How each quantized type is read with NEON: 32 signed quants at a time, with any constant offset taken off, and the
// scales of 256 elements at once. Baseline ARMv8-A; everything has internal linkage, because each table is compiled
// with flags of its own. Layouts: tensor/blocks.h.
//
// A type is a struct with
//   kBytes     bytes of 256 elements (eight blocks of 32, or one super-block)
//   kGroup     elements that share a scale: 32 or 16
//   kHasMin    value = d * q + m; otherwise value = d * q
//   kWide      quants may lie outside [-32, 32]; the others' products with four activations fit 16 bits
//   quants<S>  the quants of the S-th 32 elements, in order
//   scales     d and m of the groups; groups past `count` blocks are 0
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/simd/load.h"

namespace {

inline float load_half(const uint8_t* p) {
  __fp16 value;
  std::memcpy(&value, p, 2);
  return value;
}

inline uint8x16x2_t load32(const uint8_t* p) {
  return vld1q_u8_x2(p);
}

inline int8x16x2_t as_signed(uint8x16x2_t q) {
  return {{vreinterpretq_s8_u8(q.val[0]), vreinterpretq_s8_u8(q.val[1])}};
}

inline int8x16x2_t less(uint8x16x2_t q, int8_t offset) {
  int8x16x2_t s = as_signed(q);
  return {{vsubq_s8(s.val[0], vdupq_n_s8(offset)), vsubq_s8(s.val[1], vdupq_n_s8(offset))}};
}

/// Bits [kFrom, kFrom + kCount) of every byte.
template <int kFrom, int kCount>
inline uint8x16x2_t bits_of(uint8x16x2_t bytes) {
  if constexpr (kFrom > 0) bytes = {{vshrq_n_u8(bytes.val[0], kFrom), vshrq_n_u8(bytes.val[1], kFrom)}};
  if constexpr (kFrom + kCount < 8) {
    const uint8x16_t mask = vdupq_n_u8((1 << kCount) - 1);
    bytes = {{vandq_u8(bytes.val[0], mask), vandq_u8(bytes.val[1], mask)}};
  }
  return bytes;
}

/// low | high << kShift.
template <int kShift>
inline uint8x16x2_t join(uint8x16x2_t low, uint8x16x2_t high) {
  return {
      {vorrq_u8(low.val[0], vshlq_n_u8(high.val[0], kShift)), vorrq_u8(low.val[1], vshlq_n_u8(high.val[1], kShift))}};
}

/// 16 bytes of nibbles as 32 bytes: the low ones first.
inline uint8x16x2_t nibbles(const uint8_t* p) {
  uint8x16_t both = vld1q_u8(p);
  return {{vandq_u8(both, vdupq_n_u8(15)), vshrq_n_u8(both, 4)}};
}

/// 32 bits as 32 bytes, each 255 or 0.
inline uint8x16x2_t spread_bits(const uint8_t* p) {
  const uint8x8_t one_each = vcreate_u8(0x8040201008040201U);
  const uint8x16_t mask = vcombine_u8(one_each, one_each);
  return {{vtstq_u8(vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1])), mask),
           vtstq_u8(vcombine_u8(vdup_n_u8(p[2]), vdup_n_u8(p[3])), mask)}};
}

inline uint8x16x2_t add_where(uint8x16x2_t q, uint8x16x2_t where, uint8_t amount) {
  const uint8x16_t all = vdupq_n_u8(amount);
  return {{vaddq_u8(q.val[0], vandq_u8(where.val[0], all)), vaddq_u8(q.val[1], vandq_u8(where.val[1], all))}};
}

/// The sixteen values of IQ4.
inline int8x16x2_t iq4_values(uint8x16x2_t indices) {
  constexpr int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const int8x16_t table = vld1q_s8(kValues);
  return {{vqtbl1q_s8(table, indices.val[0]), vqtbl1q_s8(table, indices.val[1])}};
}

/// One float for each group of 256 elements.
template <int kGroup>
struct GroupScales {
  static constexpr int kVectors = 64 / kGroup;
  float32x4_t v[kVectors];
};

/// The halves at p, p + stride, ... (`count` of them, at most 8) as floats.
template <int kStride>
inline GroupScales<32> strided_halves(const uint8_t* p, int count) {
  uint16x4_t first = vdup_n_u16(0), second = first;
  if (count == 8) {
    first = vset_lane_u16(load_u16(p), first, 0);
    first = vset_lane_u16(load_u16(p + kStride), first, 1);
    first = vset_lane_u16(load_u16(p + 2 * kStride), first, 2);
    first = vset_lane_u16(load_u16(p + 3 * kStride), first, 3);
    second = vset_lane_u16(load_u16(p + 4 * kStride), second, 0);
    second = vset_lane_u16(load_u16(p + 5 * kStride), second, 1);
    second = vset_lane_u16(load_u16(p + 6 * kStride), second, 2);
    second = vset_lane_u16(load_u16(p + 7 * kStride), second, 3);
  } else {
    uint16_t halves[8] = {};
    for (int i = 0; i < count; ++i) halves[i] = load_u16(p + i * kStride);
    first = vld1_u16(halves);
    second = vld1_u16(halves + 4);
  }
  return {{vcvt_f32_f16(vreinterpret_f16_u16(first)), vcvt_f32_f16(vreinterpret_f16_u16(second))}};
}

inline float32x4_t times(int32x4_t scales, float factor) {
  return vmulq_n_f32(vcvtq_f32_s32(scales), factor);
}

/// Eight scales, times a factor.
inline GroupScales<32> scaled8(int8x8_t scales, float factor) {
  int16x8_t wide = vmovl_s8(scales);
  return {{times(vmovl_s16(vget_low_s16(wide)), factor), times(vmovl_high_s16(wide), factor)}};
}

/// Sixteen scales, times a factor.
inline GroupScales<16> scaled16(int8x16_t scales, float factor) {
  GroupScales<32> low = scaled8(vget_low_s8(scales), factor), high = scaled8(vget_high_s8(scales), factor);
  return {{low.v[0], low.v[1], high.v[0], high.v[1]}};
}

/// The 32-element types: a half-precision d at 0, and an m behind it where there is one.
template <int kBlockBytes, bool kMin>
struct SmallBlock {
  static constexpr int kBytes = 8 * kBlockBytes, kGroup = 32;
  static constexpr bool kHasMin = kMin;
  static void scales(const uint8_t* p, int count, GroupScales<32>& d, GroupScales<32>& m) {
    d = strided_halves<kBlockBytes>(p, count);
    if constexpr (kMin) m = strided_halves<kBlockBytes>(p + 2, count);
  }
};

struct Q4_0 : SmallBlock<18, false> {
  static constexpr bool kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return less(nibbles(p + S * 18 + 2), 8);
  }
};

struct Q4_1 : SmallBlock<20, true> {
  static constexpr bool kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(nibbles(p + S * 20 + 4));
  }
};

struct Q5_0 : SmallBlock<22, false> {
  static constexpr bool kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return less(add_where(nibbles(p + S * 22 + 6), spread_bits(p + S * 22 + 2), 16), 16);
  }
};

struct Q5_1 : SmallBlock<24, true> {
  static constexpr bool kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(add_where(nibbles(p + S * 24 + 8), spread_bits(p + S * 24 + 4), 16));
  }
};

struct Q8_0 : SmallBlock<34, false> {
  static constexpr bool kWide = true;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(load32(p + S * 34 + 2));
  }
};

struct IQ4_NL : SmallBlock<18, false> {
  static constexpr bool kWide = true;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return iq4_values(nibbles(p + S * 18 + 2));
  }
};

struct IQ4_XS {
  static constexpr int kBytes = 136, kGroup = 32;
  static constexpr bool kHasMin = false, kWide = true;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return iq4_values(nibbles(p + 8 + S * 16));
  }
  static void scales(const uint8_t* p, int, GroupScales<32>& d, GroupScales<32>&) {
    uint32_t low = load_u32(p + 4), high = load_u16(p + 2);
    int8_t scale[8];
    for (int g = 0; g < 8; ++g)
      scale[g] = static_cast<int8_t>(static_cast<int>((low >> 4 * g & 15) | (high >> 2 * g & 3) << 4) - 32);
    d = scaled8(vld1_s8(scale), load_half(p));
  }
};

/// The S-th 32 nibbles of a super-block that keeps two runs of 32 in each 32 bytes.
template <int S>
inline uint8x16x2_t k4_nibbles(const uint8_t* p) {
  return bits_of<S % 2 * 4, 4>(load32(p + S / 2 * 32));
}

/// The eight 6-bit scales and mins of Q4_K and Q5_K.
inline void k4_scales(const uint8_t* p, GroupScales<32>& d, GroupScales<32>& m) {
  uint32_t a = load_u32(p + 4), b = load_u32(p + 8), c = load_u32(p + 12);
  uint64_t scales = (a & 0x3f3f3f3fU) | static_cast<uint64_t>((c & 0x0f0f0f0fU) | (a >> 2 & 0x30303030U)) << 32;
  uint64_t mins = (b & 0x3f3f3f3fU) | static_cast<uint64_t>((c >> 4 & 0x0f0f0f0fU) | (b >> 2 & 0x30303030U)) << 32;
  d = scaled8(vcreate_s8(scales), load_half(p));
  m = scaled8(vcreate_s8(mins), -load_half(p + 2));
}

struct Q4_K {
  static constexpr int kBytes = 144, kGroup = 32;
  static constexpr bool kHasMin = true, kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(k4_nibbles<S>(p + 16));
  }
  static void scales(const uint8_t* p, int, GroupScales<32>& d, GroupScales<32>& m) { k4_scales(p, d, m); }
};

struct Q5_K {
  static constexpr int kBytes = 176, kGroup = 32;
  static constexpr bool kHasMin = true, kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(join<4>(k4_nibbles<S>(p + 48), bits_of<S, 1>(load32(p + 16))));
  }
  static void scales(const uint8_t* p, int, GroupScales<32>& d, GroupScales<32>& m) { k4_scales(p, d, m); }
};

struct Q6_K {
  static constexpr int kBytes = 210, kGroup = 16;
  static constexpr bool kHasMin = false, kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    constexpr int kHalf = S / 4, kPart = S % 4;
    uint8x16x2_t low = bits_of<kPart / 2 * 4, 4>(load32(p + 64 * kHalf + 32 * (kPart % 2)));
    return less(join<4>(low, bits_of<2 * kPart, 2>(load32(p + 128 + 32 * kHalf))), 32);
  }
  static void scales(const uint8_t* p, int, GroupScales<16>& d, GroupScales<16>&) {
    d = scaled16(vreinterpretq_s8_u8(vld1q_u8(p + 192)), load_half(p + 208));
  }
};

struct Q2_K {
  static constexpr int kBytes = 84, kGroup = 16;
  static constexpr bool kHasMin = true, kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    return as_signed(bits_of<2 * (S % 4), 2>(load32(p + 16 + 32 * (S / 4))));
  }
  static void scales(const uint8_t* p, int, GroupScales<16>& d, GroupScales<16>& m) {
    uint8x16_t all = vld1q_u8(p);
    d = scaled16(vreinterpretq_s8_u8(vandq_u8(all, vdupq_n_u8(15))), load_half(p + 80));
    m = scaled16(vreinterpretq_s8_u8(vshrq_n_u8(all, 4)), -load_half(p + 82));
  }
};

struct Q3_K {
  static constexpr int kBytes = 110, kGroup = 16;
  static constexpr bool kHasMin = false, kWide = false;
  template <int S>
  static int8x16x2_t quants(const uint8_t* p) {
    uint8x16x2_t low = bits_of<2 * (S % 4), 2>(load32(p + 32 + 32 * (S / 4)));
    return less(join<2>(low, bits_of<S, 1>(load32(p))), 4);
  }
  static void scales(const uint8_t* p, int, GroupScales<16>& d, GroupScales<16>&) {
    uint32_t a = load_u32(p + 96), b = load_u32(p + 100), c = load_u32(p + 104);
    uint64_t low = (a & 0x0f0f0f0fU) | (c << 4 & 0x30303030U) |
                   static_cast<uint64_t>((b & 0x0f0f0f0fU) | (c << 2 & 0x30303030U)) << 32;
    uint64_t high = (a >> 4 & 0x0f0f0f0fU) | (c & 0x30303030U) |
                    static_cast<uint64_t>((b >> 4 & 0x0f0f0f0fU) | (c >> 2 & 0x30303030U)) << 32;
    d = scaled16(vsubq_s8(vcombine_s8(vcreate_s8(low), vcreate_s8(high)), vdupq_n_s8(32)), load_half(p + 108));
  }
};

}  // namespace
