// Limits of baseline ARMv8-A: reading, 8-bit products widened to 16 bits and added up in pairs, fp32 multiply-adds.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

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
  constexpr int kChains = 12;
  int32x4_t sums[kChains] = {};
  int8x16_t a = vdupq_n_s8(1), b = vdupq_n_s8(2);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+w"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32  // or the sums go through memory
    for (auto& sum : sums) {
      asm volatile("" : "+w"(a), "+w"(b));  // each time: or the products would be shared
      sum = vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
    }
  }
  for (auto& sum : sums) asm volatile("" : : "w"(sum));
  return rounds * kChains * 16 * 2;
}

int64_t roof_fp32(int64_t rounds) {
  constexpr int kChains = 16;
  float32x4_t sums[kChains] = {}, a = vdupq_n_f32(0.5f), b = vdupq_n_f32(1.25f);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+w"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+w"(a), "+w"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (auto& sum : sums) sum = vfmaq_f32(sum, a, b);
  }
  for (auto& sum : sums) asm volatile("" : : "w"(sum));
  return rounds * kChains * 4 * 2;
}

}  // namespace retort::kernels::neon
