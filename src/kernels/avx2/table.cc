// The AVX2 table: 8-bit products through 16-bit sums.
#include "kernels/avx2/table.h"

namespace retort::kernels::avx2 {

void few_tokens_tiles(const LinearArgs& args);  // few_tokens.cc

extern const Kernels kTable;
const Kernels kTable = avx2_table<few_tokens_tiles>("avx2");

}  // namespace retort::kernels::avx2
