// The training kernels of an instruction set whose products are fp32 and read their left factor as it is; E says how
// they go (simd/matmul.h). Where there are products in bf16, too, those entries are replaced.
#pragma once

#include "kernels/simd/backward.h"
#include "kernels/simd/float_steps.h"
#include "kernels/simd/matmul.h"

namespace {

template <class E = FloatSteps>
constexpr retort::kernels::TrainingKernels training_table() {
  using retort::kernels::MatmulArgs;
  return {
      .matmul = simd_matmul<Floats, E>,
      .matmul_scratch_bytes = sizeof(MatmulScratch<Floats>),
      .matmul_packed_bytes = [](const MatmulArgs&) { return int64_t{0}; },
      .matmul_pack = [](const MatmulArgs&, std::byte*, int64_t, int64_t) {},
      .matmul_pack_units = [](const MatmulArgs&) { return int64_t{0}; },
      .rms_norm_backward = simd_rms_norm_backward<Floats>,
      .gated_backward = simd_gated_backward<Floats>,
      .softmax = simd_softmax<Floats>,
      .softmax_backward = simd_softmax_backward<Floats>,
      .log_sum_exp = simd_log_sum_exp<Floats>,
      .exp_scaled = simd_exp_scaled<Floats>,
  };
}

}  // namespace
