// Many tokens by weights of the types with super-blocks of 256.
#include "kernels/avx512/many_tokens.h"
#include "kernels/x86/columns_k.h"

namespace retort::kernels::avx512 {

bool many_tokens_super_blocks(const LinearArgs& args) {
  switch (args.dtype) {
    case tensor::DType::kQ2_K:
      return many_tokens<ColumnsQ2_K>(args), true;
    case tensor::DType::kQ3_K:
      return many_tokens<ColumnsQ3_K>(args), true;
    case tensor::DType::kQ4_K:
      return many_tokens<ColumnsQ4_K>(args), true;
    case tensor::DType::kQ5_K:
      return many_tokens<ColumnsQ5_K>(args), true;
    case tensor::DType::kQ6_K:
      return many_tokens<ColumnsQ6_K>(args), true;
    default:
      return false;
  }
}

}  // namespace retort::kernels::avx512
