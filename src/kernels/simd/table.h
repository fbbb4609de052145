// What the tables of all vector instruction sets have in common. The including file has its Floats and transpose_steps.
#pragma once

#include <cstring>
#include <string_view>

#include "kernels/dequantize.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"
#include "kernels/simd/attention.h"
#include "kernels/simd/elementwise.h"

namespace {

template <class V>
void simd_store_kv(retort::kernels::KvType type, const float* x, std::byte* out, int64_t n) {
  using retort::kernels::KvType;
  using retort::tensor::DType;
  if (type != KvType::kF16)
    return retort::kernels::quantize_row(type == KvType::kF32 ? DType::kF32 : DType::kQ8_0, x, out, n);
  auto* halves = reinterpret_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::load(x + i).store_halves(halves + i);
  if (i == n) return;
  uint16_t last[V::kLanes];
  V::load_first(x + i, static_cast<int>(n - i)).store_halves(last);
  std::memcpy(halves + i, last, static_cast<size_t>(n - i) * sizeof(uint16_t));
}

/// Everything but quantize_rows and the linear kernels.
constexpr retort::kernels::Kernels simd_table(std::string_view name, const retort::kernels::TrainingKernels* training) {
  return {
      .name = name,
      .quantize_rows = nullptr,
      .linear = nullptr,
      .linear_scratch_bytes = nullptr,
      .linear_row_grain = nullptr,
      .attention = simd_attention<Floats>,
      .attention_scratch_bytes = simd_attention_scratch_bytes<Floats>,
      .store_kv = simd_store_kv<Floats>,
      .rms_norm = simd_rms_norm<Floats>,
      .rope = simd_rope<Floats>,
      .gated = simd_gated<Floats>,
      .add = simd_add<Floats>,
      .scale = simd_scale<Floats>,
      .dequantize_row = retort::kernels::dequantize_row,
      .training = training,
  };
}

}  // namespace
