// The NEON training kernels, in fp32; baseline ARMv8-A.
#include "kernels/training.h"

#include "kernels/dequantize.h"
#include "kernels/neon/floats.h"

namespace {

/// out[k * stride + r] = rows[r][k].
inline void transpose_steps(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
  for (int k = 0; k < Floats::kLanes; ++k)
    for (int r = 0; r < Floats::kLanes; ++r) out[k * stride + r] = rows[r][k];
}

inline void stored_floats(retort::tensor::DType dtype, const std::byte* stored, float* out, int64_t n) {
  retort::kernels::dequantize_row(dtype, stored, out, n);
}

}  // namespace

#include "kernels/simd/backward.h"
#include "kernels/simd/float_steps.h"
#include "kernels/simd/matmul.h"

namespace retort::kernels::neon {
namespace {

int64_t packed_bytes(const MatmulArgs&) {
  return 0;
}
void pack(const MatmulArgs&, std::byte*, int64_t, int64_t) {}
int64_t pack_units(const MatmulArgs&) {
  return 0;
}

}  // namespace

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = {
    .matmul = simd_matmul<Floats, FloatSteps>,
    .matmul_scratch_bytes = sizeof(MatmulScratch<Floats>),
    .matmul_packed_bytes = packed_bytes,
    .matmul_pack = pack,
    .matmul_pack_units = pack_units,
    .rms_norm_backward = simd_rms_norm_backward<Floats>,
    .gated_backward = simd_gated_backward<Floats>,
    .softmax = simd_softmax<Floats>,
    .softmax_backward = simd_softmax_backward<Floats>,
    .log_sum_exp = simd_log_sum_exp<Floats>,
    .exp_scaled = simd_exp_scaled<Floats>,
};

}  // namespace retort::kernels::neon
