// Pairs of bf16, one a lane, as FEAT_BF16's dot product takes them.
#pragma once

#include "kernels/neon/floats.h"

namespace {

inline uint16x4_t bfloats(Floats x) {
  return vreinterpret_u16_bf16(vcvt_bf16_f32(x.v));
}

/// Lane i holds lane i of `even` in its lower half, and that of `odd` in its upper half.
inline uint32x4_t bfloat_pairs(uint16x4_t even, uint16x4_t odd) {
  return vreinterpretq_u32_u16(vcombine_u16(vzip1_u16(even, odd), vzip2_u16(even, odd)));
}

/// Adds both products of each lane's pairs to the lane's sum.
inline Floats add_products(Floats sum, uint32x4_t a, uint32x4_t b) {
  return Floats(vbfdotq_f32(sum.v, vreinterpretq_bf16_u32(a), vreinterpretq_bf16_u32(b)));
}

}  // namespace
