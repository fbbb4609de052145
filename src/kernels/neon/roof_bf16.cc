// Limit of the bf16 matrix instruction: 2 x 4 by 4 x 2.
#include <arm_neon.h>

#include <cstdint>

namespace retort::kernels::neon_bf16 {

int64_t roof_bf16(int64_t rounds) {
  constexpr int kChains = 16;
  float32x4_t sums[kChains] = {};
  uint16_t one = 0x3f80;
  asm("" : "+r"(one));  // GCC 12 would load the constant by an instruction of FEAT_FP16
  bfloat16x8_t a = vreinterpretq_bf16_u16(vdupq_n_u16(one)), b = a;
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+w"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+w"(a), "+w"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (auto& sum : sums) sum = vbfmmlaq_f32(sum, a, b);
  }
  for (auto& sum : sums) asm volatile("" : : "w"(sum));
  return rounds * kChains * 16 * 2;
}

}  // namespace retort::kernels::neon_bf16
