// The choice of the kernel by the type of the weights. The including file includes its quants.h, with the readers of
// the quantized types, first.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd/float_linear.h"

namespace {

/// Floats of any width by vectors V, quantized types by `quantized`, called with the type's reader.
template <class V, class Quantized>
inline void linear_by_type(const retort::kernels::LinearArgs& args, Quantized quantized) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return float_linear<V>(args);
    case DType::kQ4_0:
      return quantized(Q4_0{});
    case DType::kQ4_1:
      return quantized(Q4_1{});
    case DType::kQ5_0:
      return quantized(Q5_0{});
    case DType::kQ5_1:
      return quantized(Q5_1{});
    case DType::kQ8_0:
      return quantized(Q8_0{});
    case DType::kQ2_K:
      return quantized(Q2_K{});
    case DType::kQ3_K:
      return quantized(Q3_K{});
    case DType::kQ4_K:
      return quantized(Q4_K{});
    case DType::kQ5_K:
      return quantized(Q5_K{});
    case DType::kQ6_K:
      return quantized(Q6_K{});
    case DType::kIQ4_NL:
      return quantized(IQ4_NL{});
    case DType::kIQ4_XS:
      return quantized(IQ4_XS{});
  }
}

}  // namespace
