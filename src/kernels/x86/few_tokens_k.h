// Few tokens by weights of the types with super-blocks of 256: see few_tokens.h.
#pragma once

#include "kernels/x86/columns_k.h"
#include "kernels/x86/few_tokens.h"

namespace {

template <class = void>
bool few_tokens_of_super_blocks(const LinearArgs& args) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kQ2_K:
      return few_tokens<ColumnsQ2_K>(args), true;
    case DType::kQ3_K:
      return few_tokens<ColumnsQ3_K>(args), true;
    case DType::kQ4_K:
      return few_tokens<ColumnsQ4_K>(args), true;
    case DType::kQ5_K:
      return few_tokens<ColumnsQ5_K>(args), true;
    case DType::kQ6_K:
      return few_tokens<ColumnsQ6_K>(args), true;
    case DType::kIQ4_XS:
      return few_tokens<ColumnsIQ4_XS>(args), true;
    default:
      return false;
  }
}

}  // namespace
