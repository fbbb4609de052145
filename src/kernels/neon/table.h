// The rest of a NEON table and the table itself. Each table's file defines Isa, then includes this, then defines
// kTable as neon_table("its name").
#pragma once

#include "kernels/neon/linear.h"
#include "kernels/neon/transpose.h"
#include "kernels/quantize.h"
#include "kernels/simd/attention.h"

namespace retort::kernels::neon {
extern const TrainingKernels kTraining;  // training.cc
}

namespace {

void store_kv(retort::kernels::KvType type, const float* x, std::byte* out, int64_t n) {
  using retort::kernels::KvType;
  if (type != KvType::kF16) {
    retort::tensor::DType dtype = type == KvType::kF32 ? retort::tensor::DType::kF32 : retort::tensor::DType::kQ8_0;
    return retort::kernels::quantize_row(dtype, x, out, n);
  }
  auto* halves = reinterpret_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) vst1_u16(halves + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
  for (; i < n; ++i) {
    auto half = static_cast<__fp16>(x[i]);
    std::memcpy(halves + i, &half, 2);
  }
}

constexpr retort::kernels::Kernels neon_table(std::string_view name) {
  return {
      .name = name,
      .quantize_rows = quantize_rows,
      .linear = any_linear,
      .linear_scratch_bytes = any_linear_scratch_bytes,
      .linear_row_grain = any_linear_row_grain,
      .attention = simd_attention<Floats>,
      .attention_scratch_bytes = simd_attention_scratch_bytes<Floats>,
      .store_kv = store_kv,
      .rms_norm = simd_rms_norm<Floats>,
      .rope = simd_rope<Floats>,
      .gated = simd_gated<Floats>,
      .add = simd_add<Floats>,
      .scale = simd_scale<Floats>,
      .dequantize_row = retort::kernels::dequantize_row,
      .training = &retort::kernels::neon::kTraining,
  };
}

}  // namespace
