// Many tokens by weights of the types with blocks of 32: a file of its own, so that it compiles beside the others.
#include "kernels/avx512/many_tokens.h"

namespace retort::kernels::avx512 {

bool many_tokens_super_blocks(const LinearArgs& args);  // many_tokens_k.cc

int64_t many_tokens_scratch_bytes(int64_t in_features) {
  return RoundedTile::bytes(in_features / 32);
}

bool many_tokens_tiles(const LinearArgs& args) {
  switch (args.dtype) {
    case tensor::DType::kQ4_0:
      return many_tokens<ColumnsQ4_0>(args), true;
    case tensor::DType::kQ4_1:
      return many_tokens<ColumnsQ4_1>(args), true;
    case tensor::DType::kQ5_0:
      return many_tokens<ColumnsQ5_0>(args), true;
    case tensor::DType::kQ5_1:
      return many_tokens<ColumnsQ5_1>(args), true;
    default:
      return many_tokens_super_blocks(args);
  }
}

}  // namespace retort::kernels::avx512
