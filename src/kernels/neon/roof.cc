// Limits of baseline ARMv8-A: reading, 8-bit products widened to 16 bits and added up in pairs, fp32 multiply-adds.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::neon {

uint64_t roof_read(const std::byte* data, int64_t bytes) {
  uint64x2_t sums[4] = {};
  const auto* chunk = reinterpret_cast<const uint8_t*>(data);
  for (int64_t i = 0; i + 64 <= bytes; i += 64, chunk += 64)
    for (int j = 0; j < 4; ++j) sums[j] = veorq_u64(sums[j], vreinterpretq_u64_u8(vld1q_u8(chunk + 16 * j)));
  uint64x2_t all = veorq_u64(veorq_u64(sums[0], sums[1]), veorq_u64(sums[2], sums[3]));
  return vgetq_lane_u64(all, 0) ^ vgetq_lane_u64(all, 1);
}

int64_t roof_int8(int64_t rounds) {
  return run_roof<12, int32x4_t>(
      rounds, 16 * 2, vdupq_n_s8(1), vdupq_n_s8(2), [](int32x4_t sum, int8x16_t x, int8x16_t y) {
        return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(y)), x, y));
      });
}

int64_t roof_fp32(int64_t rounds) {
  return run_roof<16, float32x4_t>(rounds, 4 * 2, vdupq_n_f32(0.5f), vdupq_n_f32(1.25f),
                                   [](float32x4_t sum, float32x4_t x, float32x4_t y) { return vfmaq_f32(sum, x, y); });
}

}  // namespace retort::kernels::neon
