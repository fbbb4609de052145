// Attention of many rows of queries (a prompt's), a block of keys at a time. Scores are kept key by key, one lane a row
// of queries: keys and values are used in the order they are stored in, the softmax never adds up lanes, and what a row
// must not see of a key is the beginning or the end of that key's scores. The including file has transpose_steps.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/dequantize.h"
#include "kernels/kernels.h"
#include "kernels/simd/attention_few.h"
#include "kernels/simd/elementwise.h"

namespace {

constexpr float kNoScore = -1e30f;  // below every score, and finite: differences stay numbers

inline int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

/// C (rows, n) = or += A B: B (depth, n) and C row-major, n = kVectors * V::kLanes; A (rows, depth) row-major or, when
/// kTransposed, (depth, rows).
template <class V, int kRows, int kVectors, bool kTransposed>
inline void gemm_block(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t depth,
                       bool accumulate) {
  V sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) sums[r][v] = accumulate ? V::load(c + r * ldc + v * V::kLanes) : V(0.0f);
  for (int64_t i = 0; i < depth; ++i) {
    V column[kVectors];
    for (int v = 0; v < kVectors; ++v) column[v] = V::load(b + i * ldb + v * V::kLanes);
    for (int r = 0; r < kRows; ++r) {
      V factor(kTransposed ? a[i * lda + r] : a[r * lda + i]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = V::fma(factor, column[v], sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) sums[r][v].store(c + r * ldc + v * V::kLanes);
}

/// The same for any number of rows and any multiple n of V::kLanes.
template <class V, bool kTransposed>
void gemm(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t rows, int64_t n,
          int64_t depth, bool accumulate) {
  constexpr int kMostVectors = V::kGemmVectors;
  const int64_t vectors = n / V::kLanes, pieces = (vectors + kMostVectors - 1) / kMostVectors;
  auto piece = [&](int64_t first, auto vector_count) {
    constexpr int kVectors = decltype(vector_count)::value;
    const float* from = b + first * V::kLanes;
    auto some_rows = [&](int64_t r, auto row_count) {
      constexpr int kRows = decltype(row_count)::value;
      gemm_block<V, kRows, kVectors, kTransposed>(a + (kTransposed ? r : r * lda), lda, from, ldb,
                                                  c + r * ldc + first * V::kLanes, ldc, depth, accumulate);
    };
    int64_t r = 0;
    for (; r + 6 <= rows; r += 6) some_rows(r, std::integral_constant<int, 6>{});
    for (; r + 2 <= rows; r += 2) some_rows(r, std::integral_constant<int, 2>{});
    for (; r < rows; ++r) some_rows(r, std::integral_constant<int, 1>{});
  };
  for (int64_t p = 0; p < pieces; ++p) {  // pieces as equal as can be
    int64_t first = vectors * p / pieces, count = vectors * (p + 1) / pieces - first;
    if (count == 1) piece(first, std::integral_constant<int, 1>{});
    if constexpr (kMostVectors >= 2)
      if (count == 2) piece(first, std::integral_constant<int, 2>{});
    if constexpr (kMostVectors >= 3)
      if (count == 3) piece(first, std::integral_constant<int, 3>{});
    if constexpr (kMostVectors >= 4)
      if (count == 4) piece(first, std::integral_constant<int, 4>{});
  }
}

/// One stored key or value as floats, padded with zeros to `padded` elements.
template <class V>
inline void load_kv(retort::kernels::KvType type, const std::byte* row, float* out, int64_t n, int64_t padded) {
  using retort::kernels::KvType;
  if (type == KvType::kF16) {
    const auto* halves = reinterpret_cast<const uint16_t*>(row);
    int64_t i = 0;
    for (; i + V::kLanes <= n; i += V::kLanes) V::load_halves(halves + i).store(out + i);
    for (; i < n; ++i) out[i] = half_to_float(halves[i]);
  } else {
    retort::kernels::dequantize_row(type == KvType::kF32 ? retort::tensor::DType::kF32 : retort::tensor::DType::kQ8_0,
                                    row, out, n);
  }
  for (int64_t i = n; i < padded; ++i) out[i] = 0;
}

/// The rows of queries that see a key: all others, before and after them, do not.
struct Visible {
  int64_t begin, end;
};

/// What one call works on: rows of queries of one key head, query by query, `group` heads side by side.
struct ManyRows {
  int64_t rows, group, first_position, window;

  Visible visible(int64_t key) const {
    int64_t begin = std::clamp((key - first_position) * group, int64_t{0}, rows);
    int64_t end = window > 0 ? std::clamp((key + window - first_position) * group, begin, rows) : rows;
    return {begin, end};
  }
  /// Whether every row sees each of keys [first, end).
  bool all_visible(int64_t first, int64_t end) const {
    return visible(end - 1).begin == 0 && visible(first).end == rows;
  }
};

/// The parts of the scratch memory.
template <class V>
struct ManyScratch {
  float *queries, *sums, *scores, *stored, *largest, *total, *factor;
  static int64_t width_of(int64_t rows) { return round_up(rows, V::kLanes); }
  static int64_t floats(int64_t rows, int64_t dim) {
    return width_of(rows) * (dim + kKeyBlock + 3) + rows * dim + kKeyBlock * dim;
  }
  ManyScratch(float* memory, int64_t rows, int64_t dim) {
    const int64_t width = width_of(rows);
    queries = memory;                // (dim, width)
    scores = queries + width * dim;  // (kKeyBlock, width)
    largest = scores + width * kKeyBlock;
    total = largest + width;
    factor = total + width;
    sums = factor + width;       // (rows, dim)
    stored = sums + rows * dim;  // (kKeyBlock, dim): a block's keys, then its values
  }
};

/// Turns the scores of `count` keys into weights relative to the largest score of each row so far, adds them up into
/// `total`, and says in `factor` by what the sums so far are to be multiplied.
template <class V>
void weigh(const ManyScratch<V>& s, const ManyRows& rows, int64_t first_key, int64_t count) {
  const int64_t width = s.width_of(rows.rows);
  const bool partly = !rows.all_visible(first_key, first_key + count);
  auto hide = [&](float value) {
    for (int64_t j = 0; j < count; ++j) {
      Visible visible = rows.visible(first_key + j);
      float* scores = s.scores + j * width;
      std::fill(scores, scores + visible.begin, value);
      std::fill(scores + visible.end, scores + rows.rows, value);
    }
  };
  if (partly) hide(kNoScore);
  for (int64_t r = 0; r < width; r += V::kLanes) {
    float* scores = s.scores + r;
    V before = V::load(s.largest + r), most[4] = {before, before, before, before};
    int64_t j = 0;
    for (; j + 4 <= count; j += 4)
      for (int i = 0; i < 4; ++i) most[i] = V::max(most[i], V::load(scores + (j + i) * width));
    for (; j < count; ++j) most[0] = V::max(most[0], V::load(scores + j * width));
    V now = V::max(V::max(most[0], most[1]), V::max(most[2], most[3]));
    now.store(s.largest + r);
    exp(before - now).store(s.factor + r);
    for (j = 0; j < count; ++j) exp(V::load(scores + j * width) - now).store(scores + j * width);
  }
  if (partly) hide(0);  // exp() never reaches 0
  for (int64_t r = 0; r < width; r += V::kLanes) {
    V sum[2] = {V::load(s.total + r) * V::load(s.factor + r), V(0.0f)};
    for (int64_t j = 0; j < count; ++j) sum[j % 2] = sum[j % 2] + V::load(s.scores + r + j * width);
    (sum[0] + sum[1]).store(s.total + r);
  }
}

/// Puts rows 2 i and 2 i + 1 of `count` rows into row i, as pairs of bf16; a missing last row counts as zero.
template <class V, class Pairs>
void pack_pairs(float* rows, int64_t count, int64_t width) {
  for (int64_t j = 0; j < count; j += 2)
    for (int64_t i = 0; i < width; i += V::kLanes)
      Pairs::pack(V::load(rows + j * width + i), j + 1 < count ? V::load(rows + (j + 1) * width + i) : V(0.0f))
          .store(rows + j / 2 * width + i);
}

/// Puts elements 2 i and 2 i + 1 of a row of n, a multiple of V::kLanes, into element i, as a pair of bf16.
template <class V, class Pairs>
void pack_neighbours(float* row, int64_t n) {
  for (int64_t i = 0; i < n; i += 2 * V::kLanes)
    Pairs::pack_neighbours(V::load(row + i), i + V::kLanes < n ? V::load(row + i + V::kLanes) : V(0.0f))
        .store(row + i / 2);
}

/// The queries of one key head, scaled, element by element. Lanes without a row get the last one's.
template <class V>
void load_queries(const retort::kernels::AttentionArgs& args, const ManyRows& rows, int kv_head,
                  const ManyScratch<V>& s) {
  constexpr int kLanes = V::kLanes;
  const int64_t width = s.width_of(rows.rows), head_dim = args.head_dim, whole = head_dim / kLanes * kLanes;
  for (int64_t r = 0; r < width; r += kLanes) {
    const float* from[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      int64_t row = std::min(r + lane, rows.rows - 1), head = kv_head * rows.group + row % rows.group;
      from[lane] = args.queries + (args.query_begin + row / rows.group) * args.query_stride + head * head_dim;
    }
    for (int64_t i = 0; i < whole; i += kLanes) {
      const uint32_t* steps[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) steps[lane] = reinterpret_cast<const uint32_t*>(from[lane] + i);
      transpose_steps(steps, reinterpret_cast<uint32_t*>(s.queries + i * width + r), width);
    }
    for (int64_t i = whole; i < head_dim; ++i)
      for (int lane = 0; lane < kLanes; ++lane) s.queries[i * width + r + lane] = from[lane][i];
    for (int64_t i = 0; i < head_dim; ++i)
      (V::load(s.queries + i * width + r) * V(args.scale)).store(s.queries + i * width + r);
  }
}

/// Rows of one key head, for args' keys from first_key to last_key. Pairs, unless void: how products take pairs of
/// bf16.
template <class V, class Pairs>
void attend_many(const retort::kernels::AttentionArgs& args, int kv_head, int64_t first_key, int64_t last_key) {
  const int64_t head_dim = args.head_dim, dim = round_up(head_dim, V::kLanes);
  const int64_t group = args.num_heads / args.num_kv_heads;
  const ManyRows rows{(args.query_end - args.query_begin) * group, group, args.first_position + args.query_begin,
                      args.window};
  const ManyScratch<V> s(reinterpret_cast<float*>(args.scratch), rows.rows, dim);
  const int64_t width = s.width_of(rows.rows);
  auto head_of = [&](int64_t r) { return kv_head * group + r % group; };
  std::fill(s.largest, s.largest + width, kNoScore);
  std::fill(s.total, s.total + width, 0.0f);
  load_queries<V>(args, rows, kv_head, s);
  bool rounded_scores = false;
  if constexpr (!std::is_void_v<Pairs>) {
    rounded_scores = args.may_round && args.may_round_scores;
    if (rounded_scores) pack_pairs<V, Pairs>(s.queries, head_dim, width);
  }
  std::fill(s.sums, s.sums + rows.rows * dim, 0.0f);
  const std::byte* keys = args.keys + kv_head * args.head_stride;
  const std::byte* values = args.values + kv_head * args.head_stride;
  // Blocks begin at multiples of their size, so that a row's sums do not depend on which rows it is computed with.
  int64_t next = std::max(first_key / kKeyBlock * kKeyBlock, args.key_begin);
  while (next <= last_key) {
    const int64_t start = next;
    next = std::min(start / kKeyBlock * kKeyBlock + kKeyBlock, last_key + 1);
    const int64_t count = next - start;
    auto load = [&](const std::byte* from) {
      for (int64_t j = 0; j < count; ++j)
        load_kv<V>(args.type, from + (start + j) * args.position_stride, s.stored + j * dim, head_dim, dim);
    };
    load(keys);
    if (rounded_scores) {
      if constexpr (!std::is_void_v<Pairs>) {
        for (int64_t j = 0; j < count; ++j) pack_neighbours<V, Pairs>(s.stored + j * dim, dim);
        gemm<Pairs, false>(s.stored, dim, s.queries, width, s.scores, width, count, width, (head_dim + 1) / 2, false);
      }
    } else {
      gemm<V, false>(s.stored, dim, s.queries, width, s.scores, width, count, width, head_dim, false);
    }
    weigh(s, rows, start, count);
    for (int64_t r = 0; r < rows.rows; ++r) {
      if (s.factor[r] == 1) continue;
      float* sums = s.sums + r * dim;
      for (int64_t i = 0; i < dim; i += V::kLanes) (V::load(sums + i) * V(s.factor[r])).store(sums + i);
    }
    load(values);
    if constexpr (!std::is_void_v<Pairs>) {
      if (args.may_round) {
        pack_pairs<V, Pairs>(s.scores, count, width);
        pack_pairs<V, Pairs>(s.stored, count, dim);
        gemm<Pairs, true>(s.scores, width, s.stored, dim, s.sums, dim, rows.rows, dim, (count + 1) / 2, true);
        continue;
      }
    }
    gemm<V, true>(s.scores, width, s.stored, dim, s.sums, dim, rows.rows, dim, count, true);
  }
  for (int64_t r = 0; r < rows.rows; ++r) {
    float* out = args.output + (args.query_begin + r / group) * args.output_stride + head_of(r) * head_dim;
    float inverse = s.total[r] > 0 ? 1 / s.total[r] : 0;
    for (int64_t i = 0; i < head_dim; ++i) out[i] = s.sums[r * dim + i] * inverse;
    if (args.log_sums != nullptr)
      args.log_sums[(args.query_begin + r / group) * args.num_heads + head_of(r)] = s.largest[r] + std::log(s.total[r]);
  }
}

}  // namespace
