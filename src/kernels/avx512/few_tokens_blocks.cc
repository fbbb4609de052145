// Few tokens by weights of the types with blocks of 32: a file of its own, so that it compiles beside the others.
#include "kernels/avx512/lanes.h"
#include "kernels/x86/few_tokens.h"

namespace retort::kernels::avx512 {

bool few_tokens_super_blocks(const LinearArgs& args);  // few_tokens_super_blocks.cc

void few_tokens_tiles(const LinearArgs& args) {
  if (!few_tokens_of_blocks(args)) few_tokens_super_blocks(args);
}

}  // namespace retort::kernels::avx512
