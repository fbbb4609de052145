// Tensor: a view of a weight in its stored type, usually inside a mapped model file.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace retort::tensor {

/// A row-major matrix or vector: `rows` rows of `cols` elements, each row a whole number of blocks. A vector has one
/// row. Does not own its memory. Empty when data is null.
struct Tensor {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;

  int64_t row_bytes() const { return tensor::row_bytes(dtype, cols); }
  int64_t bytes() const { return rows * row_bytes(); }
  const std::byte* row(int64_t index) const { return data + index * row_bytes(); }
  explicit operator bool() const { return data != nullptr; }

  /// The elements of an F32 tensor.
  const float* floats() const { return reinterpret_cast<const float*>(data); }
};

}  // namespace retort::tensor
