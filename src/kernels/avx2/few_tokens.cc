// Few tokens by quantized weights, with 16-bit sums: a file of its own, so that it compiles beside table.cc.
#include "kernels/avx2/lanes.h"
#include "kernels/x86/few_tokens_k.h"
#include "kernels/x86/one_token.h"

namespace retort::kernels::avx2 {

void few_tokens_tiles(const LinearArgs& args) {
  if (!few_tokens_of_blocks(args)) few_tokens_of_super_blocks(args);
}

}  // namespace retort::kernels::avx2
