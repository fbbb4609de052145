// Transposes 4 x 4 four-byte values.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace {

/// out[k * stride + r] = rows[r][k].
inline void transpose_steps(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
  uint32x4_t a = vld1q_u32(rows[0]), b = vld1q_u32(rows[1]), c = vld1q_u32(rows[2]), d = vld1q_u32(rows[3]);
  uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b)), ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
  uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d)), cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
  vst1q_u32(out, vreinterpretq_u32_u64(vtrn1q_u64(ab_even, cd_even)));
  vst1q_u32(out + stride, vreinterpretq_u32_u64(vtrn1q_u64(ab_odd, cd_odd)));
  vst1q_u32(out + 2 * stride, vreinterpretq_u32_u64(vtrn2q_u64(ab_even, cd_even)));
  vst1q_u32(out + 3 * stride, vreinterpretq_u32_u64(vtrn2q_u64(ab_odd, cd_odd)));
}

}  // namespace
