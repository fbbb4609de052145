// The NEON training kernels with bf16 products where they are asked for (FEAT_BF16: Neoverse V1 and N2, Apple M2, ...).
#include "kernels/training.h"

#include "kernels/neon/bfloat_pairs.h"
#include "kernels/neon/dequantize.h"
#include "kernels/neon/tall_steps.h"
#include "kernels/neon/transpose.h"
#include "kernels/simd/training_table_bf16.h"

namespace {

/// Two bf16 a step.
struct BfloatSteps {
  static constexpr int kPair = 2, kTileRows = 12;
  using Steps = uint32x4_t;
  static Steps load(const uint32_t* p) { return vld1q_u32(p); }
  static Steps broadcast(const uint32_t* p) { return vdupq_n_u32(*p); }
  static Steps interleave(Floats even, Floats odd) { return bfloat_pairs(bfloats(even), bfloats(odd)); }
  static Steps interleave_stored(const std::byte* even, const std::byte* odd) {
    return bfloat_pairs(vld1_u16(reinterpret_cast<const uint16_t*>(even)),
                        vld1_u16(reinterpret_cast<const uint16_t*>(odd)));
  }
  static void store(Steps steps, uint32_t* p) { vst1q_u32(p, steps); }
  static Floats multiply_add(Floats sum, Steps a, Steps b) { return add_products(sum, a, b); }
  static void convert(const float* x, uint32_t* out, int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4, out += 2) vst1_u32(out, vreinterpret_u32_u16(bfloats(Floats::load(x + i))));
    if (i == n) return;
    uint32x2_t last = vreinterpret_u32_u16(bfloats(Floats::load_first(x + i, static_cast<int>(n - i))));
    out[0] = vget_lane_u32(last, 0);
    if (n - i == 3) out[1] = vget_lane_u32(last, 1);
  }
  static void transpose(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
    transpose_steps(rows, out, stride);
  }
};

}  // namespace

namespace retort::kernels::neon_bf16 {

extern const TrainingKernels kTraining;
constinit const TrainingKernels kTraining = training_table_bf16<BfloatSteps, TallSteps>();

}  // namespace retort::kernels::neon_bf16
