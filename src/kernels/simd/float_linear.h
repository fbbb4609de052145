// Products with F32, F16 and BF16 weights over a vector type V: four weight rows at a time as floats, times up to four
// tokens.
#pragma once

#include "kernels/dequantize.h"
#include "kernels/kernels.h"
#include "kernels/simd/elementwise.h"

namespace {

constexpr int kFloatRows = 4;

template <class V, int kRows, int kTokens>
inline void dot_block(const float* const* rows, const float* x, int64_t stride, int64_t n, float* const* out) {
  V sums[kRows][kTokens];
  for (auto& row : sums)
    for (V& sum : row) sum = V(0.0f);
  for_vectors<V>(
      n,
      [&](int64_t i) {
        V w[kRows];
        for (int r = 0; r < kRows; ++r) w[r] = V::load(rows[r] + i);
        for (int t = 0; t < kTokens; ++t) {
          V a = V::load(x + t * stride + i);
          for (int r = 0; r < kRows; ++r) sums[r][t] = V::fma(w[r], a, sums[r][t]);
        }
      },
      [&](int64_t i, int count) {
        for (int t = 0; t < kTokens; ++t) {
          V a = V::load_first(x + t * stride + i, count);
          for (int r = 0; r < kRows; ++r) sums[r][t] = V::fma(V::load_first(rows[r] + i, count), a, sums[r][t]);
        }
      });
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kRows; ++r) out[t][r] = sums[r][t].sum();
}

template <class V>
void float_linear(const retort::kernels::LinearArgs& args) {
  using retort::tensor::DType;
  int64_t n = args.in_features, row_bytes = retort::tensor::row_bytes(args.dtype, n);
  auto* floats = reinterpret_cast<float*>(args.scratch);
  for (int64_t row = args.row_begin; row < args.row_end; row += kFloatRows) {
    int count = static_cast<int>(args.row_end - row < kFloatRows ? args.row_end - row : kFloatRows);
    const float* rows[kFloatRows];
    for (int r = 0; r < kFloatRows; ++r) {
      const std::byte* stored = args.weights + (row + (r < count ? r : count - 1)) * row_bytes;
      if (args.dtype == DType::kF32) {
        rows[r] = reinterpret_cast<const float*>(stored);
        continue;
      }
      const auto* halves = reinterpret_cast<const uint16_t*>(stored);
      float* to = floats + r * n;
      for_vectors<V>(
          n,
          [&](int64_t i) {
            (args.dtype == DType::kF16 ? V::load_halves(halves + i) : V::load_bfloats(halves + i)).store(to + i);
          },
          [&](int64_t i, int left) { retort::kernels::dequantize_row(args.dtype, halves + i, to + i, left); });
      rows[r] = to;
    }
    for (int64_t token = 0; token < args.num_tokens;) {
      float values[4][kFloatRows];
      float* out[4] = {values[0], values[1], values[2], values[3]};
      const float* x = args.input + token * args.input_stride;
      int tokens = 1;
      if (args.num_tokens - token >= 4) {
        tokens = 4;
        dot_block<V, kFloatRows, 4>(rows, x, args.input_stride, n, out);
      } else {
        dot_block<V, kFloatRows, 1>(rows, x, args.input_stride, n, out);
      }
      for (int t = 0; t < tokens; ++t)
        for (int r = 0; r < count; ++r)
          args.output[(token + t) * args.output_stride + row + r] =
              values[t][r] + (args.bias != nullptr ? args.bias[row + r] : 0);
      token += tokens;
    }
  }
}

}  // namespace
