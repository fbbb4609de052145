// Scores and weighted sums for up to four rows of queries (one decoded token, the heads that share a key head),
// straight from keys and values in fp16: each is read once and never stored as floats.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace {

constexpr int64_t kKeyBlock = 64;  // keys that attention takes at a time, and asks for ahead of the one at hand

/// Asks for the line at p, if i halves into a row a line may begin.
inline void ask_for(const std::byte* p, int64_t i) {
  if (i % 32 == 0) __builtin_prefetch(p, 0, 2);
}

/// scores[r * score_stride + j] = q row r . key j, for R rows of `dim` floats, a multiple of V::kLanes.
template <class V, int R>
inline void few_scores(const float* q, int64_t dim, const std::byte* keys, int64_t key_stride, int64_t count,
                       float* scores, int64_t score_stride) {
  constexpr int kRows = R + (R == 3 ? 1 : 0);
  constexpr int kSums = std::max(8, V::kLanes), kKeys = kSums / kRows;  // enough to hide the latency of an addition
  for (int64_t j = 0; j < count; j += kKeys) {
    V sums[kSums];
    for (V& sum : sums) sum = V(0.0f);
    for (int64_t i = 0; i < dim; i += V::kLanes) {
      V queries[R];
      for (int r = 0; r < R; ++r) queries[r] = V::load(q + r * dim + i);
      for (int k = 0; k < kKeys; ++k) {
        int64_t at = j + k < count ? j + k : count - 1;
        V key = V::load_halves(reinterpret_cast<const uint16_t*>(keys + at * key_stride) + i);
        ask_for(keys + (at + kKeyBlock) * key_stride + 2 * i, i);
        for (int r = 0; r < R; ++r) sums[k * kRows + r] = V::fma(key, queries[r], sums[k * kRows + r]);
      }
    }
    float totals[kSums];
    for (int i = 0; i < kSums; i += V::kLanes) V::sums(sums + i).store(totals + i);
    for (int k = 0; k < kKeys && j + k < count; ++k)
      for (int r = 0; r < R; ++r) scores[r * score_stride + j + k] = totals[k * kRows + r];
  }
}

/// sums row r += weights[r * weight_stride + j] * value j over all j.
template <class V, int R>
inline void few_sums(const float* weights, int64_t weight_stride, const std::byte* values, int64_t value_stride,
                     int64_t count, float* sums, int64_t dim) {
  auto columns = [&](int64_t i, auto vector_count) {
    constexpr int kVectors = decltype(vector_count)::value;
    V total[R][kVectors];
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) total[r][v] = V::load(sums + r * dim + i + v * V::kLanes);
    for (int64_t j = 0; j < count; ++j) {
      const auto* row = reinterpret_cast<const uint16_t*>(values + j * value_stride) + i;
      V value[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        value[v] = V::load_halves(row + v * V::kLanes);
        ask_for(values + (j + kKeyBlock) * value_stride + 2 * (i + v * V::kLanes), i + v * V::kLanes);
      }
      for (int r = 0; r < R; ++r) {
        V weight(weights[r * weight_stride + j]);
        for (int v = 0; v < kVectors; ++v) total[r][v] = V::fma(weight, value[v], total[r][v]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) total[r][v].store(sums + r * dim + i + v * V::kLanes);
  };
  constexpr int kVectors = V::kGemmVectors;
  int64_t i = 0;
  for (; i + kVectors * V::kLanes <= dim; i += kVectors * V::kLanes)
    columns(i, std::integral_constant<int, kVectors>{});
  for (; i < dim; i += V::kLanes) columns(i, std::integral_constant<int, 1>{});
}

/// Calls body(first row, integral_constant of the number of rows) for groups of at most four rows, as equal as can be.
template <class Body>
inline void for_row_groups(int64_t rows, Body body) {
  int64_t groups = (rows + 3) / 4;
  for (int64_t g = 0; g < groups; ++g) {
    int64_t first = rows * g / groups, count = rows * (g + 1) / groups - first;
    if (count == 1) body(first, std::integral_constant<int, 1>{});
    if (count == 2) body(first, std::integral_constant<int, 2>{});
    if (count == 3) body(first, std::integral_constant<int, 3>{});
    if (count == 4) body(first, std::integral_constant<int, 4>{});
  }
}

}  // namespace
