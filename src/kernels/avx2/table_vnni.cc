// The table for processors with AVX-VNNI and without AVX-512 (Intel since 2021): 8-bit products straight into 32-bit
// sums.
#include "kernels/avx2/table.h"

namespace retort::kernels::avx2_vnni {

void few_tokens_tiles(const LinearArgs& args);  // few_tokens_vnni.cc

extern const Kernels kTable;
const Kernels kTable = avx2_table<few_tokens_tiles>("avx2_vnni");

}  // namespace retort::kernels::avx2_vnni
