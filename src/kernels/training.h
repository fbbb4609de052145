// Training kernels: matrix products in the forms that a backward pass needs, and the gradients of the small operations.
// As in kernels.h, nothing here allocates, locks or starts threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace retort::kernels {

/// What a product's factors are rounded to; sums are fp32. A table without bf16 instructions computes in fp32.
enum class Precision : uint8_t { kFloat32, kBfloat16 };

/// C = A B, or C += A B, for rows [row_begin, row_end) and columns [col_begin, col_end) of C.
/// A (rows, depth) are floats: element (r, k) is a[r * a_stride + k], or a[k * a_stride + r] when a_transposed.
/// B is a stored matrix of any type, with rows of b_row_bytes: its row k holds (depth, columns), or, when b_transposed,
/// its row c holds the `depth` elements of column c. For quantized types col_begin (depth is whole when b_transposed)
/// is a multiple of the type's block.
struct MatmulArgs {
  Precision precision = Precision::kFloat32;
  int64_t row_begin = 0, row_end = 0, col_begin = 0, col_end = 0, depth = 0;
  const float* a = nullptr;
  int64_t a_rows = 0;  // all of them, of which this call may take some
  int64_t a_stride = 0;
  bool a_transposed = false;
  tensor::DType b_dtype = tensor::DType::kF32;
  const std::byte* b = nullptr;
  int64_t b_row_bytes = 0;
  bool b_transposed = false;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool accumulate = false;
  const std::byte* packed_a = nullptr;  // written by matmul_pack where matmul_packed_bytes is not 0
  std::byte* scratch = nullptr;         // matmul_scratch_bytes of the calling thread's own, 64-byte aligned
};

/// Every table is complete; sizes may be zero. "accumulate" adds to what the output holds instead of writing it.
struct TrainingKernels {
  void (*matmul)(const MatmulArgs& args);
  int64_t matmul_scratch_bytes;
  /// Bytes of all of A in the form that the products read; 0: they read it as it is.
  int64_t (*matmul_packed_bytes)(const MatmulArgs& args);
  /// Writes that form: units [begin, end) of matmul_pack_units, so that threads can share the work.
  void (*matmul_pack)(const MatmulArgs& args, std::byte* packed, int64_t begin, int64_t end);
  int64_t (*matmul_pack_units)(const MatmulArgs& args);

  /// Of rms_norm over n elements: dx (+)= ..., and dweight += ... unless null.
  void (*rms_norm_backward)(const float* x, const float* weight, float epsilon, const float* dout, float* dx,
                            bool accumulate, float* dweight, int64_t n);
  /// Of gated(): writes dgate and dup.
  void (*gated_backward)(Activation activation, const float* gate, const float* up, const float* dout, float* dgate,
                         float* dup, int64_t n);
  /// out = softmax(scale * x). In place is allowed.
  void (*softmax)(const float* x, float scale, float* out, int64_t n);
  /// Of softmax: dx = scale * p * (dp - sum(p * dp)). In place of dp is allowed.
  void (*softmax_backward)(const float* p, const float* dp, float scale, float* dx, int64_t n);
  /// Brings *largest and *sum = sum of exp(x - *largest) up to date with n more elements.
  void (*log_sum_exp)(const float* x, int64_t n, float* largest, float* sum);
  /// out = factor * exp(x - shift). In place is allowed.
  void (*exp_scaled)(const float* x, float shift, float factor, float* out, int64_t n);
};

}  // namespace retort::kernels
