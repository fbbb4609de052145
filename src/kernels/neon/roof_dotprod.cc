// Limit of the dot product instruction: 16 products of 8-bit numbers.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::neon_dotprod {

int64_t roof_int8(int64_t rounds) {
  return run_roof<16, int32x4_t>(rounds, 16 * 2, vdupq_n_s8(1), vdupq_n_s8(2),
                                 [](int32x4_t sum, int8x16_t x, int8x16_t y) { return vdotq_s32(sum, x, y); });
}

}  // namespace retort::kernels::neon_dotprod
