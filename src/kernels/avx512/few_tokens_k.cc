// Few tokens by weights of the types with super-blocks of 256.
#include "kernels/avx512/columns_k.h"
#include "kernels/avx512/few_tokens.h"

namespace retort::kernels::avx512 {

void few_tokens_super_blocks(const LinearArgs& args) {
  switch (args.dtype) {
    case tensor::DType::kQ2_K:
      return few_tokens<ColumnsQ2_K>(args);
    case tensor::DType::kQ3_K:
      return few_tokens<ColumnsQ3_K>(args);
    case tensor::DType::kQ4_K:
      return few_tokens<ColumnsQ4_K>(args);
    case tensor::DType::kQ5_K:
      return few_tokens<ColumnsQ5_K>(args);
    case tensor::DType::kQ6_K:
      return few_tokens<ColumnsQ6_K>(args);
    case tensor::DType::kIQ4_XS:
      return few_tokens<ColumnsIQ4_XS>(args);
    default:
      return;
  }
}

}  // namespace retort::kernels::avx512
