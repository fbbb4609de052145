#include "kernels/dequantize.h"

#include <cstring>

#include "tensor/blocks.h"
#include "tensor/half.h"

namespace retort::kernels {
namespace {

using namespace tensor;

int low_or_high(const uint8_t* nibbles, int i) {
  return i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
}

int fifth_bit(const uint8_t* high, int i) {
  return (high[i / 8] >> i % 8 & 1) << 4;
}

void block(const BlockQ4_0& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(low_or_high(b.nibbles, i) - 8);
}

void block(const BlockQ4_1& b, float* out) {
  float d = half_to_float(b.d), m = half_to_float(b.m);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(low_or_high(b.nibbles, i)) + m;
}

void block(const BlockQ5_0& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>((low_or_high(b.nibbles, i) | fifth_bit(b.high, i)) - 16);
}

void block(const BlockQ5_1& b, float* out) {
  float d = half_to_float(b.d), m = half_to_float(b.m);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(low_or_high(b.nibbles, i) | fifth_bit(b.high, i)) + m;
}

void block(const BlockQ8_0& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(b.quants[i]);
}

/// Run r (of 32 elements) keeps its two bits of element e in byte e of the r/4-th 32 bytes.
int bit_pair(const uint8_t* pairs, int run, int e) {
  return pairs[run / 4 * 32 + e] >> run % 4 * 2 & 3;
}

void block(const BlockQ2_K& b, float* out) {
  float d = half_to_float(b.d), m = half_to_float(b.m);
  for (int i = 0; i < 256; ++i) {
    int scales = b.scales[i / 16];
    out[i] = d * static_cast<float>(scales & 15) * static_cast<float>(bit_pair(b.pairs, i / 32, i % 32)) -
             m * static_cast<float>(scales >> 4);
  }
}

void block(const BlockQ3_K& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 256; ++i) {
    int group = i / 16, run = i / 32, e = i % 32;
    int low = group < 8 ? b.scales[group] & 15 : b.scales[group - 8] >> 4;
    int scale = low | (b.scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
    int q = bit_pair(b.pairs, run, e) | (b.high[e] >> run & 1) << 2;
    out[i] = d * static_cast<float>(scale - 32) * static_cast<float>(q - 4);
  }
}

int k4_nibble(const uint8_t* nibbles, int run, int e) {
  return nibbles[run / 2 * 32 + e] >> run % 2 * 4 & 15;
}

void block(const BlockQ4_K& b, float* out) {
  float d = half_to_float(b.d), m = half_to_float(b.m);
  for (int run = 0; run < 8; ++run) {
    int scale, minimum;
    unpack_k4_scale(b.scales, run, scale, minimum);
    for (int e = 0; e < 32; ++e)
      out[run * 32 + e] = d * static_cast<float>(scale) * static_cast<float>(k4_nibble(b.nibbles, run, e)) -
                          m * static_cast<float>(minimum);
  }
}

void block(const BlockQ5_K& b, float* out) {
  float d = half_to_float(b.d), m = half_to_float(b.m);
  for (int run = 0; run < 8; ++run) {
    int scale, minimum;
    unpack_k4_scale(b.scales, run, scale, minimum);
    for (int e = 0; e < 32; ++e) {
      int q = k4_nibble(b.nibbles, run, e) | (b.high[e] >> run & 1) << 4;
      out[run * 32 + e] = d * static_cast<float>(scale) * static_cast<float>(q) - m * static_cast<float>(minimum);
    }
  }
}

void block(const BlockQ6_K& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 256; ++i) {
    int half = i / 128, part = i / 32 % 4, e = i % 32, group = i / 16;
    int low = b.low[half * 64 + part % 2 * 32 + e] >> part / 2 * 4 & 15;
    int high = b.high[half * 32 + e] >> part * 2 & 3;
    out[i] = d * static_cast<float>(b.scales[group]) * static_cast<float>((low | high << 4) - 32);
  }
}

void block(const BlockIQ4_NL& b, float* out) {
  float d = half_to_float(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kIq4Values[low_or_high(b.nibbles, i)]);
}

void block(const BlockIQ4_XS& b, float* out) {
  float d = half_to_float(b.d);
  for (int run = 0; run < 8; ++run) {
    int scale = (b.scales_low[run / 2] >> run % 2 * 4 & 15) | (b.scales_high >> run * 2 & 3) << 4;
    for (int e = 0; e < 32; ++e)
      out[run * 32 + e] =
          d * static_cast<float>(scale - 32) * static_cast<float>(kIq4Values[low_or_high(b.nibbles + run * 16, e)]);
  }
}

template <class Block>
void blocks(const void* row, float* out, int64_t n, int elements) {
  const auto* bytes = static_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < n; i += elements, bytes += sizeof(Block)) {
    Block b;
    std::memcpy(&b, bytes, sizeof b);
    block(b, out + i);
  }
}

}  // namespace

void dequantize_row(DType dtype, const void* row, float* out, int64_t n) {
  if (n == 0) return;
  const auto* bytes = static_cast<const uint8_t*>(row);
  auto halves = [&](auto convert) {
    for (int64_t i = 0; i < n; ++i) {
      uint16_t bits;
      std::memcpy(&bits, bytes + 2 * i, 2);
      out[i] = convert(bits);
    }
  };
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, row, static_cast<size_t>(n) * 4);
      break;
    case DType::kF16:
      halves(half_to_float);
      break;
    case DType::kBF16:
      halves(bfloat16_to_float);
      break;
    case DType::kQ4_0:
      blocks<BlockQ4_0>(row, out, n, 32);
      break;
    case DType::kQ4_1:
      blocks<BlockQ4_1>(row, out, n, 32);
      break;
    case DType::kQ5_0:
      blocks<BlockQ5_0>(row, out, n, 32);
      break;
    case DType::kQ5_1:
      blocks<BlockQ5_1>(row, out, n, 32);
      break;
    case DType::kQ8_0:
      blocks<BlockQ8_0>(row, out, n, 32);
      break;
    case DType::kQ2_K:
      blocks<BlockQ2_K>(row, out, n, 256);
      break;
    case DType::kQ3_K:
      blocks<BlockQ3_K>(row, out, n, 256);
      break;
    case DType::kQ4_K:
      blocks<BlockQ4_K>(row, out, n, 256);
      break;
    case DType::kQ5_K:
      blocks<BlockQ5_K>(row, out, n, 256);
      break;
    case DType::kQ6_K:
      blocks<BlockQ6_K>(row, out, n, 256);
      break;
    case DType::kIQ4_NL:
      blocks<BlockIQ4_NL>(row, out, n, 32);
      break;
    case DType::kIQ4_XS:
      blocks<BlockIQ4_XS>(row, out, n, 256);
      break;
  }
}

}  // namespace retort::kernels
