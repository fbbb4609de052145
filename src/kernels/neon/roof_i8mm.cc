// Limit of the 8-bit matrix instruction: 2 x 8 by 8 x 2.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::neon_i8mm {

int64_t roof_int8(int64_t rounds) {
  return run_roof<16, int32x4_t>(rounds, 32 * 2, vdupq_n_s8(1), vdupq_n_s8(2),
                                 [](int32x4_t sum, int8x16_t x, int8x16_t y) { return vmmlaq_s32(sum, x, y); });
}

}  // namespace retort::kernels::neon_i8mm
