// Block layouts of the quantized types, as they lie in a GGUF file: little-endian, packed, without alignment.
// Source: ggml-common.h of ggml (https://github.com/ggml-org/ggml). "d" is a scale and "m" a minimum, in half precision
// (tensor/half.h); q is what the bits say. Elements are numbered within their block.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace retort::tensor {

/// 32 elements; nibble i % 16 (low: i < 16, high: the rest). value = d * (q - 8).
struct BlockQ4_0 {
  uint16_t d;
  uint8_t nibbles[16];
};
/// value = d * q + m.
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t nibbles[16];
};
/// As Q4_0 with a fifth bit: bit i of `high`. value = d * (q - 16).
struct BlockQ5_0 {
  uint16_t d;
  uint8_t high[4];
  uint8_t nibbles[16];
};
/// value = d * q + m.
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t high[4];
  uint8_t nibbles[16];
};
/// value = d * q.
struct BlockQ8_0 {
  uint16_t d;
  int8_t quants[32];
};
/// 256 elements in 16 groups of 16; scales[g] holds a 4-bit scale (low) and minimum (high). Each 32 bytes of `pairs`
/// hold four runs of 32 elements, two bits each. value = d * scale * q - m * minimum.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t pairs[64];
  uint16_t d, m;
};
/// As Q2_K with a third bit in `high` (bit r of byte e: element e of run r) and 16 6-bit scales less 32 in 12 bytes.
/// value = d * (scale - 32) * (q - 4).
struct BlockQ3_K {
  uint8_t high[32];
  uint8_t pairs[64];
  uint8_t scales[12];
  uint16_t d;
};
/// 256 elements in 8 groups of 32 with 6-bit scales and minima; each 32 bytes of `nibbles` hold two runs of 32.
/// value = d * scale * q - m * minimum.
struct BlockQ4_K {
  uint16_t d, m;
  uint8_t scales[12];
  uint8_t nibbles[128];
};
/// As Q4_K with a fifth bit: bit r of high[e] belongs to element e of run r.
struct BlockQ5_K {
  uint16_t d, m;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t nibbles[128];
};
/// 256 elements in 16 groups of 16 with 8-bit scales; 4 low bits in `low`, 2 high bits in `high`. value = d * scale *
/// (q - 32).
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t d;
};
/// As Q4_0 with values from a table: value = d * kIq4Values[q].
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t nibbles[16];
};
/// 256 elements in 8 groups of 32 with 6-bit scales less 32. value = d * (scale - 32) * kIq4Values[q].
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_high;
  uint8_t scales_low[4];
  uint8_t nibbles[128];
};

inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static_assert(sizeof(BlockQ4_0) == info(DType::kQ4_0).block_bytes);
static_assert(sizeof(BlockQ4_1) == info(DType::kQ4_1).block_bytes);
static_assert(sizeof(BlockQ5_0) == info(DType::kQ5_0).block_bytes);
static_assert(sizeof(BlockQ5_1) == info(DType::kQ5_1).block_bytes);
static_assert(sizeof(BlockQ8_0) == info(DType::kQ8_0).block_bytes);
static_assert(sizeof(BlockQ2_K) == info(DType::kQ2_K).block_bytes);
static_assert(sizeof(BlockQ3_K) == info(DType::kQ3_K).block_bytes);
static_assert(sizeof(BlockQ4_K) == info(DType::kQ4_K).block_bytes);
static_assert(sizeof(BlockQ5_K) == info(DType::kQ5_K).block_bytes);
static_assert(sizeof(BlockQ6_K) == info(DType::kQ6_K).block_bytes);
static_assert(sizeof(BlockIQ4_NL) == info(DType::kIQ4_NL).block_bytes);
static_assert(sizeof(BlockIQ4_XS) == info(DType::kIQ4_XS).block_bytes);

/// The g-th of the eight 6-bit scales and minima that Q4_K and Q5_K pack into 12 bytes.
inline void unpack_k4_scale(const uint8_t* scales, int g, int& scale, int& minimum) {
  if (g < 4) {
    scale = scales[g] & 63;
    minimum = scales[g + 4] & 63;
  } else {
    scale = (scales[g + 4] & 15) | (scales[g - 4] >> 6) << 4;
    minimum = scales[g + 4] >> 4 | (scales[g] >> 6) << 4;
  }
}

}  // namespace retort::tensor
