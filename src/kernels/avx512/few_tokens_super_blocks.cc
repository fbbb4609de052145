// Few tokens by weights of the types with super-blocks of 256.
#include "kernels/avx512/lanes.h"
#include "kernels/x86/few_tokens_k.h"

namespace retort::kernels::avx512 {

bool few_tokens_super_blocks(const LinearArgs& args) {
  return few_tokens_of_super_blocks(args);
}

}  // namespace retort::kernels::avx512
