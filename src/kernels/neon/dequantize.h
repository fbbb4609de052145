// Stored rows as floats, through the types of quants.h.
#pragma once

#include <utility>

#include "kernels/dequantize.h"
#include "kernels/neon/floats.h"
#include "kernels/neon/quants.h"

namespace {

template <class T>
void quantized_floats(const uint8_t* row, float* out, int64_t blocks) {
  constexpr int kVectors = GroupScales<T::kGroup>::kVectors;
  for (; blocks > 0; blocks -= 8, row += T::kBytes, out += 256) {
    int count = static_cast<int>(blocks < 8 ? blocks : 8);
    GroupScales<T::kGroup> dv, mv;
    T::scales(row, count, dv, mv);
    float d[4 * kVectors], m[4 * kVectors];
    for (int v = 0; v < kVectors; ++v) {
      vst1q_f32(d + 4 * v, dv.v[v]);
      if constexpr (T::kHasMin) vst1q_f32(m + 4 * v, mv.v[v]);
    }
    auto step = [&](auto index) {
      constexpr int S = decltype(index)::value;
      if (S >= count) return;
      int8x16x2_t q = T::template quants<S>(row);
      for (int half = 0; half < 2; ++half) {
        int group = (32 * S + 16 * half) / T::kGroup;
        float32x4_t base = vdupq_n_f32(0);
        if constexpr (T::kHasMin) base = vdupq_n_f32(m[group]);
        int16x8_t pairs[2] = {vmovl_s8(vget_low_s8(q.val[half])), vmovl_high_s8(q.val[half])};
        for (int i = 0; i < 2; ++i) {
          float* to = out + 32 * S + 16 * half + 8 * i;
          vst1q_f32(to, vfmaq_n_f32(base, vcvtq_f32_s32(vmovl_s16(vget_low_s16(pairs[i]))), d[group]));
          vst1q_f32(to + 4, vfmaq_n_f32(base, vcvtq_f32_s32(vmovl_high_s16(pairs[i])), d[group]));
        }
      }
    };
    [&]<int... S>(std::integer_sequence<int, S...>) {
      (step(std::integral_constant<int, S>{}), ...);
    }
    (std::make_integer_sequence<int, 8>{});
  }
}

/// n elements, a whole number of blocks, of a row of any type but F32.
void stored_floats(retort::tensor::DType dtype, const std::byte* stored, float* out, int64_t n) {
  using retort::tensor::DType;
  const auto* row = reinterpret_cast<const uint8_t*>(stored);
  int64_t whole = n / 4 * 4;
  switch (dtype) {
    case DType::kQ4_0:
      return quantized_floats<Q4_0>(row, out, n / 32);
    case DType::kQ4_1:
      return quantized_floats<Q4_1>(row, out, n / 32);
    case DType::kQ5_0:
      return quantized_floats<Q5_0>(row, out, n / 32);
    case DType::kQ8_0:
      return quantized_floats<Q8_0>(row, out, n / 32);
    case DType::kQ4_K:
      return quantized_floats<Q4_K>(row, out, n / 32);
    case DType::kQ6_K:
      return quantized_floats<Q6_K>(row, out, n / 32);
    case DType::kF16:
    case DType::kBF16:
      for (int64_t i = 0; i < whole; i += 4) {
        const auto* halves = reinterpret_cast<const uint16_t*>(row + 2 * i);
        (dtype == DType::kF16 ? Floats::load_halves(halves) : Floats::load_bfloats(halves)).store(out + i);
      }
      return retort::kernels::dequantize_row(dtype, stored + 2 * whole, out + whole, n - whole);
    default:
      return retort::kernels::dequantize_row(dtype, stored, out, n);
  }
}

}  // namespace
