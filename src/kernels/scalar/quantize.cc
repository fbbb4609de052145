#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/scalar/quantize_k.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace retort::kernels {
namespace {

using namespace tensor;

int rounded(float x, int low, int high) {
  return std::clamp(static_cast<int>(std::nearbyint(x)), low, high);
}

void put(uint8_t* nibbles, uint8_t* high, int i, int q) {
  nibbles[i % 16] = static_cast<uint8_t>(nibbles[i % 16] | (q & 15) << i / 16 * 4);
  if (high != nullptr) high[i / 8] = static_cast<uint8_t>(high[i / 8] | (q >> 4) << i % 8);
}

/// Symmetric types: the value of largest magnitude becomes the lowest quant, which the code has one more of.
template <class Block>
void symmetric(const float* x, Block& b, uint8_t* high, int levels) {
  float extreme = 0;
  for (int i = 0; i < 32; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  float d = extreme / static_cast<float>(-levels);
  b.d = float_to_half(d);
  float inverse = d != 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i)
    put(b.nibbles, high, i, rounded(x[i] * inverse + static_cast<float>(levels), 0, 2 * levels - 1));
}

template <class Block>
void with_minimum(const float* x, Block& b, uint8_t* high, int top) {
  auto [low, highest] = std::minmax_element(x, x + 32);
  float d = (*highest - *low) / static_cast<float>(top), m = *low;
  b.d = float_to_half(d);
  b.m = float_to_half(m);
  float inverse = d != 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i) put(b.nibbles, high, i, rounded((x[i] - m) * inverse, 0, top));
}

void block(const float* x, BlockQ4_0& b) {
  symmetric(x, b, nullptr, 8);
}
void block(const float* x, BlockQ4_1& b) {
  with_minimum(x, b, nullptr, 15);
}
void block(const float* x, BlockQ5_0& b) {
  symmetric(x, b, b.high, 16);
}
void block(const float* x, BlockQ5_1& b) {
  with_minimum(x, b, b.high, 31);
}

void block(const float* x, BlockQ8_0& b) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
  float d = largest / 127, inverse = d != 0 ? 1 / d : 0;
  b.d = float_to_half(d);
  for (int i = 0; i < 32; ++i) b.quants[i] = static_cast<int8_t>(rounded(x[i] * inverse, -127, 127));
}

void block(const float* x, BlockQ4_K& b) {
  quantize_block(x, b);
}
void block(const float* x, BlockQ5_K& b) {
  quantize_block(x, b);
}
void block(const float* x, BlockQ6_K& b) {
  quantize_block(x, b);
}

template <class Block>
void blocks(const float* x, void* row, int64_t n, int elements) {
  auto* bytes = static_cast<uint8_t*>(row);
  float finite[256];
  for (int64_t i = 0; i < n; i += elements, bytes += sizeof(Block)) {
    for (int j = 0; j < elements; ++j) finite[j] = std::isfinite(x[i + j]) ? x[i + j] : 0;
    Block b{};
    block(finite, b);
    std::memcpy(bytes, &b, sizeof b);
  }
}

}  // namespace

bool can_quantize(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return false;
    default:
      return true;
  }
}

void quantize_row(DType dtype, const float* x, void* row, int64_t n) {
  if (n == 0) return;
  auto* bytes = static_cast<uint8_t*>(row);
  auto halves = [&](auto convert) {
    for (int64_t i = 0; i < n; ++i) {
      uint16_t bits = convert(x[i]);
      std::memcpy(bytes + 2 * i, &bits, 2);
    }
  };
  switch (dtype) {
    case DType::kF32:
      std::memcpy(row, x, static_cast<size_t>(n) * 4);
      break;
    case DType::kF16:
      halves(float_to_half);
      break;
    case DType::kBF16:
      halves(float_to_bfloat16);
      break;
    case DType::kQ4_0:
      blocks<BlockQ4_0>(x, row, n, 32);
      break;
    case DType::kQ4_1:
      blocks<BlockQ4_1>(x, row, n, 32);
      break;
    case DType::kQ5_0:
      blocks<BlockQ5_0>(x, row, n, 32);
      break;
    case DType::kQ5_1:
      blocks<BlockQ5_1>(x, row, n, 32);
      break;
    case DType::kQ8_0:
      blocks<BlockQ8_0>(x, row, n, 32);
      break;
    case DType::kQ4_K:
      blocks<BlockQ4_K>(x, row, n, 256);
      break;
    case DType::kQ5_K:
      blocks<BlockQ5_K>(x, row, n, 256);
      break;
    case DType::kQ6_K:
      blocks<BlockQ6_K>(x, row, n, 256);
      break;
    default:
      RETORT_CHECK(can_quantize(dtype));
  }
}

}  // namespace retort::kernels
