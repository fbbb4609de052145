// Limit of the bf16 matrix instruction: 2 x 4 by 4 x 2.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::neon_bf16 {

int64_t roof_bf16(int64_t rounds) {
  uint16_t one = 0x3f80;
  asm("" : "+r"(one));  // GCC 12 would load the constant by an instruction of FEAT_FP16
  bfloat16x8_t ones = vreinterpretq_bf16_u16(vdupq_n_u16(one));
  return run_roof<16, float32x4_t>(rounds, 16 * 2, ones, ones, [](float32x4_t sum, bfloat16x8_t x, bfloat16x8_t y) {
    return vbfmmlaq_f32(sum, x, y);
  });
}

}  // namespace retort::kernels::neon_bf16
