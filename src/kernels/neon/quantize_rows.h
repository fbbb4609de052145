// Activations to 8 bits with NEON.
#pragma once

#include <arm_neon.h>

#include "kernels/simd/quantize_rows.h"

namespace {

struct FloatBlock {
  float32x4_t v[8];

  explicit FloatBlock(const float* values) {
    for (int i = 0; i < 8; ++i) v[i] = vld1q_f32(values + 4 * i);
  }
  float largest() const {
    float32x4_t most = vdupq_n_f32(0);
    for (float32x4_t x : v) most = vmaxnmq_f32(vabsq_f32(x), most);  // the number, where one of them is NaN
    return vmaxnmvq_f32(most);
  }
  void store(float inverse, int8_t* quants, int32_t* sums) const {
    for (int half = 0; half < 2; ++half) {
      int16x8_t wide[2];
      for (int i = 0; i < 2; ++i) {  // the conversion rounds to nearest even and turns NaN to 0
        int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(v[4 * half + 2 * i], inverse));
        int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(v[4 * half + 2 * i + 1], inverse));
        wide[i] = vqmovn_high_s32(vqmovn_s32(low), high);
      }
      int8x16_t q = vmaxq_s8(vqmovn_high_s16(vqmovn_s16(wide[0]), wide[1]), vdupq_n_s8(-127));
      vst1q_s8(quants + 16 * half, q);
      sums[half] = vaddlvq_s8(q);
    }
  }
};

}  // namespace
