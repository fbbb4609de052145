// Stored numbers as floats, for the types that adapters come in.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

namespace retort::formats {

/// Whether to_floats reads this type.
constexpr bool has_floats(tensor::DType dtype) {
  return !tensor::info(dtype).quantized || dtype == tensor::DType::kQ8_0;
}

/// All elements of `data`, which may lie at any address, as F32, F16, BF16 or Q8_0.
inline std::vector<float> to_floats(tensor::DType dtype, std::span<const std::byte> data) {
  RETORT_CHECK(has_floats(dtype));
  const tensor::DTypeInfo& info = tensor::info(dtype);
  const size_t blocks = data.size() / static_cast<size_t>(info.block_bytes);
  std::vector<float> values(blocks * static_cast<size_t>(info.block_elements));
  if (values.empty()) return values;
  if (dtype == tensor::DType::kF32) {
    std::memcpy(values.data(), data.data(), data.size());
  } else if (dtype == tensor::DType::kQ8_0) {
    for (size_t i = 0; i < blocks; ++i) {
      tensor::BlockQ8_0 block;
      std::memcpy(&block, data.data() + i * sizeof block, sizeof block);
      for (size_t k = 0; k < 32; ++k) values[i * 32 + k] = tensor::half_to_float(block.d) * block.quants[k];
    }
  } else {
    for (size_t i = 0; i < blocks; ++i) {
      uint16_t bits;
      std::memcpy(&bits, data.data() + i * sizeof bits, sizeof bits);
      values[i] = dtype == tensor::DType::kF16 ? tensor::half_to_float(bits) : tensor::bfloat16_to_float(bits);
    }
  }
  return values;
}

inline bool all_finite(std::span<const float> values) {
  for (float value : values)
    if (!std::isfinite(value)) return false;
  return true;
}

}  // namespace retort::formats
