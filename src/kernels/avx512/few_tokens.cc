// Few tokens by weights of the types with blocks of 32: a file of its own, so that it compiles beside the others.
#include "kernels/avx512/few_tokens.h"

namespace retort::kernels::avx512 {

void few_tokens_super_blocks(const LinearArgs& args);  // few_tokens_k.cc

void few_tokens_tiles(const LinearArgs& args) {
  switch (args.dtype) {
    case tensor::DType::kQ4_0:
      return few_tokens<ColumnsQ4_0>(args);
    case tensor::DType::kQ4_1:
      return few_tokens<ColumnsQ4_1>(args);
    case tensor::DType::kQ5_0:
      return few_tokens<ColumnsQ5_0>(args);
    case tensor::DType::kQ5_1:
      return few_tokens<ColumnsQ5_1>(args);
    case tensor::DType::kQ8_0:
      return few_tokens<ColumnsQ8_0>(args);
    case tensor::DType::kIQ4_NL:
      return few_tokens<ColumnsIQ4_NL>(args);
    default:
      return few_tokens_super_blocks(args);
  }
}

}  // namespace retort::kernels::avx512
