// Quantized weights by one to three tokens, for every type: a file of its own, so that it compiles beside table.cc.
#include "kernels/avx512/gemv.h"

namespace retort::kernels::avx512 {
namespace {

template <class T>
void by_tokens(const LinearArgs& args) {
  switch (args.num_tokens) {
    case 1:
      return gemv<T, 1>(args);
    case 2:
      return gemv<T, 2>(args);
    case 3:
      return gemv<T, 3>(args);
    default:
      return;
  }
}

}  // namespace

void few_tokens_linear(const LinearArgs& args) {
  using tensor::DType;
  switch (args.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;
    case DType::kQ4_0:
      return by_tokens<Q4_0>(args);
    case DType::kQ4_1:
      return by_tokens<Q4_1>(args);
    case DType::kQ5_0:
      return by_tokens<Q5_0>(args);
    case DType::kQ5_1:
      return by_tokens<Q5_1>(args);
    case DType::kQ8_0:
      return by_tokens<Q8_0>(args);
    case DType::kQ2_K:
      return by_tokens<Q2_K>(args);
    case DType::kQ3_K:
      return by_tokens<Q3_K>(args);
    case DType::kQ4_K:
      return by_tokens<Q4_K>(args);
    case DType::kQ5_K:
      return by_tokens<Q5_K>(args);
    case DType::kQ6_K:
      return by_tokens<Q6_K>(args);
    case DType::kIQ4_NL:
      return by_tokens<IQ4_NL>(args);
    case DType::kIQ4_XS:
      return by_tokens<IQ4_XS>(args);
  }
}

}  // namespace retort::kernels::avx512
