// The AVX-512 training kernels, in fp32.
#include "kernels/training.h"

#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"
#include "kernels/x86/dequantize.h"

#include "kernels/simd/backward.h"
#include "kernels/simd/float_steps.h"
#include "kernels/simd/matmul.h"

namespace retort::kernels::avx512 {
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

}  // namespace retort::kernels::avx512
