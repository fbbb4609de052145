// Products with F32, F16 and BF16 weights over a vector type V: four weight rows at a time, which become floats in
// registers, times up to four tokens. Bounds: memory bandwidth for a token or two, multiply-adds from four on.
#pragma once

#include "kernels/dequantize.h"
#include "kernels/kernels.h"
#include "kernels/simd/elementwise.h"

namespace {

constexpr int kFloatRows = 4;
constexpr int kFloatTokens = 4;

/// A row of weights as it is stored, read as floats.
template <class V, retort::tensor::DType kType>
struct StoredRow {
  const std::byte* data;

  V load(int64_t i) const {
    using retort::tensor::DType;
    if constexpr (kType == DType::kF32)
      return V::load(reinterpret_cast<const float*>(data) + i);
    else if constexpr (kType == DType::kF16)
      return V::load_halves(reinterpret_cast<const uint16_t*>(data) + i);
    else
      return V::load_bfloats(reinterpret_cast<const uint16_t*>(data) + i);
  }
  V load_first(int64_t i, int count) const {
    const std::byte* from = at(i);
    if constexpr (kType == retort::tensor::DType::kF32)
      return V::load_first(reinterpret_cast<const float*>(from), count);
    float values[V::kLanes];
    retort::kernels::dequantize_row(kType, from, values, count);
    return V::load_first(values, count);
  }
  const std::byte* at(int64_t i) const { return data + i * (kType == retort::tensor::DType::kF32 ? 4 : 2); }
};

/// out[t][r] = rows[r] x[t]. `ahead`, unless 0: so many bytes behind the rows is what will be read next, and asked for.
template <class V, int kTokens, class Row>
inline void dot_block(const Row* rows, int64_t ahead, const float* x, int64_t stride, int64_t n,
                      float (*out)[kFloatRows]) {
  V sums[kFloatRows][kTokens];
  for (auto& row : sums)
    for (V& sum : row) sum = V(0.0f);
  for_vectors<V>(
      n,
      [&](int64_t i) {
        V w[kFloatRows];
        for (int r = 0; r < kFloatRows; ++r) w[r] = rows[r].load(i);
        if (ahead != 0)
          for (int r = 0; r < kFloatRows; ++r) __builtin_prefetch(rows[r].at(i) + ahead, 0, 2);
        for (int t = 0; t < kTokens; ++t) {
          V a = V::load(x + t * stride + i);
          for (int r = 0; r < kFloatRows; ++r) sums[r][t] = V::fma(w[r], a, sums[r][t]);
        }
      },
      [&](int64_t i, int count) {
        for (int t = 0; t < kTokens; ++t) {
          V a = V::load_first(x + t * stride + i, count);
          for (int r = 0; r < kFloatRows; ++r) sums[r][t] = V::fma(rows[r].load_first(i, count), a, sums[r][t]);
        }
      });
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kFloatRows; ++r) out[t][r] = sums[r][t].sum();
}

template <class V, retort::tensor::DType kType>
void stored_linear(const retort::kernels::LinearArgs& args) {
  using Row = StoredRow<V, kType>;
  using Block = void (*)(const Row*, int64_t, const float*, int64_t, int64_t, float(*)[kFloatRows]);
  static constexpr Block kBlocks[kFloatTokens + 1] = {nullptr, dot_block<V, 1, Row>, dot_block<V, 2, Row>,
                                                      dot_block<V, 3, Row>, dot_block<V, 4, Row>};
  const int64_t n = args.in_features, row_bytes = retort::tensor::row_bytes(kType, n), ahead = kFloatRows * row_bytes;
  for (int64_t row = args.row_begin; row < args.row_end; row += kFloatRows) {
    int count = static_cast<int>(args.row_end - row < kFloatRows ? args.row_end - row : kFloatRows);
    Row rows[kFloatRows];
    for (int r = 0; r < kFloatRows; ++r) rows[r].data = args.weights + (row + (r < count ? r : count - 1)) * row_bytes;
    for (int64_t token = 0; token < args.num_tokens; token += kFloatTokens) {
      float values[kFloatTokens][kFloatRows];
      int64_t left = args.num_tokens - token, tokens = left < kFloatTokens ? left : kFloatTokens;
      kBlocks[tokens](rows, token == 0 ? ahead : 0, args.input + token * args.input_stride, args.input_stride, n,
                      values);
      for (int64_t t = 0; t < tokens; ++t)
        for (int r = 0; r < count; ++r)
          args.output[(token + t) * args.output_stride + row + r] =
              values[t][r] + (args.bias != nullptr ? args.bias[row + r] : 0);
    }
  }
}

template <class V>
void float_linear(const retort::kernels::LinearArgs& args) {
  using retort::tensor::DType;
  if (args.dtype == DType::kF32) return stored_linear<V, DType::kF32>(args);
  if (args.dtype == DType::kF16) return stored_linear<V, DType::kF16>(args);
  stored_linear<V, DType::kBF16>(args);
}

}  // namespace
