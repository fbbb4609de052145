// Limit of the 8-bit matrix instruction: 2 x 8 by 8 x 2.
#include <arm_neon.h>

#include <cstdint>

namespace retort::kernels::neon_i8mm {

int64_t roof_int8(int64_t rounds) {
  constexpr int kChains = 16;
  int32x4_t sums[kChains] = {};
  int8x16_t a = vdupq_n_s8(1), b = vdupq_n_s8(2);
#pragma GCC unroll 32
  for (auto& sum : sums) asm("" : "+w"(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+w"(a), "+w"(b));
#pragma GCC unroll 32  // or the sums go through memory
    for (auto& sum : sums) sum = vmmlaq_s32(sum, a, b);
  }
  for (auto& sum : sums) asm volatile("" : : "w"(sum));
  return rounds * kChains * 32 * 2;
}

}  // namespace retort::kernels::neon_i8mm
