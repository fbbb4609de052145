// Dot products of 8-bit numbers in one instruction (Armv8.2 FEAT_DotProd). Only files compiled with +dotprod include
// this.
#pragma once

#include <arm_neon.h>

namespace {

struct DotProduct {
  static int32x4_t dot16(int8x16_t w, int8x16_t a) { return vdotq_s32(vdupq_n_s32(0), w, a); }

  template <bool kWide>
  static int32x4_t dot32(int8x16x2_t w, int8x16x2_t a) {
    return vdotq_s32(dot16(w.val[0], a.val[0]), w.val[1], a.val[1]);
  }
};

}  // namespace
