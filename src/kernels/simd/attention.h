// Attention over a vector type V, blocked over keys with an online softmax, so that memory does not grow with the
// context. Method: Dao et al., "FlashAttention" (2022). A block of keys is turned to fp32 once and serves every query
// of the call and every query head that shares the key head.
#pragma once

#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/simd/attention_few.h"
#include "kernels/simd/attention_many.h"
#include "kernels/simd/elementwise.h"

namespace {

constexpr int64_t kFewRows = 8;  // up to here a row of queries is not worth a lane

template <class V>
inline float dot(const float* a, const float* b, int64_t padded) {
  V sum(0.0f);
  for (int64_t i = 0; i < padded; i += V::kLanes) sum = V::fma(V::load(a + i), V::load(b + i), sum);
  return sum.sum();
}

/// The parts of the scratch memory.
struct AttentionScratch {
  float *queries, *sums, *scores, *values, *largest, *total;
  static int64_t floats(int64_t rows, int64_t dim) {
    return 2 * rows * dim + rows * kKeyBlock + kKeyBlock * dim + 2 * rows;
  }
  AttentionScratch(float* memory, int64_t rows, int64_t dim) {
    queries = memory;
    sums = queries + rows * dim;
    scores = sums + rows * dim;
    values = scores + rows * kKeyBlock;
    largest = values + kKeyBlock * dim;
    total = largest + rows;
  }
};

/// Turns scores of one row into weights relative to the row's largest score so far, and keeps its sums in step. Only
/// keys [low, high) of the block are visible.
template <class V>
inline void softmax_row(float* scores, int64_t low, int64_t high, float& largest, float& total, float* sums,
                        int64_t dim) {
  for (int64_t j = 0; j < low; ++j) scores[j] = -HUGE_VALF;
  for (int64_t j = high; j < kKeyBlock; ++j) scores[j] = -HUGE_VALF;
  V most = V::load(scores);
  for (int64_t j = V::kLanes; j < kKeyBlock; j += V::kLanes) most = V::max(most, V::load(scores + j));
  float now = most.largest();
  if (now > largest) {
    float correction = std::exp(largest - now);
    total *= correction;
    for (int64_t i = 0; i < dim; i += V::kLanes) (V::load(sums + i) * V(correction)).store(sums + i);
    largest = now;
  }
  V sum(0.0f);
  for (int64_t j = 0; j < kKeyBlock; j += V::kLanes) {
    V weight = exp(V::load(scores + j) - V(largest));
    weight.store(scores + j);
    sum = sum + weight;
  }
  // exp() never reaches 0: hidden keys are put right here.
  for (int64_t j = 0; j < low; ++j) scores[j] = 0;
  for (int64_t j = high; j < kKeyBlock; ++j) scores[j] = 0;
  if (low > 0 || high < kKeyBlock) {
    sum = V(0.0f);
    for (int64_t j = 0; j < kKeyBlock; j += V::kLanes) sum = sum + V::load(scores + j);
  }
  total += sum.sum();
}

/// Scores of `rows` queries with a block of `count` keys, which become floats first.
template <class V>
void block_scores(const retort::kernels::AttentionArgs& args, const AttentionScratch& s, const std::byte* keys,
                  int64_t count, int64_t rows, int64_t dim) {
  for (int64_t j = 0; j < count; ++j) {
    float* row = s.values + j * dim;  // keys pass through the values' place
    load_kv<V>(args.type, keys + j * args.position_stride, row, args.head_dim, dim);
    for (int64_t r = 0; r < rows; ++r) s.scores[r * kKeyBlock + j] = dot<V>(s.queries + r * dim, row, dim);
  }
}

template <class V, class Pairs>
void attend_head(const retort::kernels::AttentionArgs& args, int kv_head) {
  int64_t dim = round_up(args.head_dim, V::kLanes), head_dim = args.head_dim;
  int group = args.num_heads / args.num_kv_heads;
  int64_t rows = (args.query_end - args.query_begin) * group;
  int64_t first_position = args.first_position + args.query_begin;
  int64_t last_key = args.first_position + args.query_end - 1;
  int64_t first_key = args.window > 0 && first_position >= args.window ? first_position - args.window + 1 : 0;
  if (last_key >= args.key_end) last_key = args.key_end - 1;
  if (first_key < args.key_begin) first_key = args.key_begin;
  if (rows > kFewRows || args.may_round) return attend_many<V, Pairs>(args, kv_head, first_key, last_key);
  AttentionScratch s(reinterpret_cast<float*>(args.scratch), rows, dim);
  for (int64_t r = 0; r < rows; ++r) {
    const float* q =
        args.queries + (args.query_begin + r / group) * args.query_stride + (kv_head * group + r % group) * head_dim;
    for (int64_t i = 0; i < dim; ++i) {
      s.queries[r * dim + i] = i < head_dim ? q[i] * args.scale : 0;
      s.sums[r * dim + i] = 0;
    }
    s.largest[r] = -HUGE_VALF;
    s.total[r] = 0;
  }
  const bool few = args.type == retort::kernels::KvType::kF16 && dim == head_dim;
  const std::byte* keys = args.keys + kv_head * args.head_stride;
  const std::byte* values = args.values + kv_head * args.head_stride;
  for (int64_t start = first_key; start <= last_key; start += kKeyBlock) {
    int64_t count = last_key + 1 - start < kKeyBlock ? last_key + 1 - start : kKeyBlock;
    const std::byte* block_keys = keys + start * args.position_stride;
    const std::byte* block_values = values + start * args.position_stride;
    if (few) {
      for_row_groups(rows, [&](int64_t r, auto row_count) {
        few_scores<V, decltype(row_count)::value>(s.queries + r * dim, dim, block_keys, args.position_stride, count,
                                                  s.scores + r * kKeyBlock, kKeyBlock);
      });
    } else {
      block_scores<V>(args, s, block_keys, count, rows, dim);
    }
    for (int64_t r = 0; r < rows; ++r) {
      int64_t position = first_position + r / group;
      int64_t high = position + 1 - start, low = args.window > 0 ? position - args.window + 1 - start : 0;
      high = high < 0 ? 0 : high > count ? count : high;
      low = low < 0 ? 0 : low > high ? high : low;
      if (low == high)
        for (int64_t j = 0; j < kKeyBlock; ++j) s.scores[r * kKeyBlock + j] = 0;
      else
        softmax_row<V>(s.scores + r * kKeyBlock, low, high, s.largest[r], s.total[r], s.sums + r * dim, dim);
    }
    if (few) {
      for_row_groups(rows, [&](int64_t r, auto row_count) {
        few_sums<V, decltype(row_count)::value>(s.scores + r * kKeyBlock, kKeyBlock, block_values, args.position_stride,
                                                count, s.sums + r * dim, dim);
      });
    } else {
      for (int64_t j = 0; j < count; ++j)
        load_kv<V>(args.type, block_values + j * args.position_stride, s.values + j * dim, head_dim, dim);
      gemm<V, false>(s.scores, kKeyBlock, s.values, dim, s.sums, dim, rows, dim, count, true);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* out =
        args.output + (args.query_begin + r / group) * args.output_stride + (kv_head * group + r % group) * head_dim;
    float inverse = s.total[r] > 0 ? 1 / s.total[r] : 0;
    for (int64_t i = 0; i < head_dim; ++i) out[i] = s.sums[r * dim + i] * inverse;
    if (args.log_sums != nullptr)
      args.log_sums[(args.query_begin + r / group) * args.num_heads + kv_head * group + r % group] =
          s.largest[r] + std::log(s.total[r]);
  }
}

/// Pairs, unless void: pairs of bf16, for calls that may round.
template <class V, class Pairs = void>
void simd_attention(const retort::kernels::AttentionArgs& args) {
  for (int head = args.kv_head_begin; head < args.kv_head_end; ++head) attend_head<V, Pairs>(args, head);
}

template <class V>
int64_t simd_attention_scratch_bytes(int head_dim, int heads_per_kv_head) {
  const int64_t dim = round_up(head_dim, V::kLanes);
  return 4 * std::max(AttentionScratch::floats(kFewRows, dim),
                      ManyScratch<V>::floats(retort::kernels::AttentionArgs::kMaxQueries * heads_per_kv_head, dim));
}

}  // namespace
