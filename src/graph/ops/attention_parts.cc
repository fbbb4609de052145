#include "graph/ops/attention_parts.h"

#include <algorithm>
#include <cmath>

namespace retort::graph {

static_assert(AttentionCut::kQueryBlock <= kernels::AttentionArgs::kMaxQueries);

AttentionCut::AttentionCut(const Segment& segment, const AttentionShape& shape)
    : num_rows(segment.num_rows),
      num_kv_heads(shape.num_kv_heads),
      blocks((segment.num_rows + kQueryBlock - 1) / kQueryBlock),
      parts(1),
      first_key(shape.window > 0 ? std::max<int64_t>(0, segment.first_position - shape.window + 1) : 0),
      keys(segment.first_position + segment.num_rows - first_key) {
  // A piece is a kv head's part: the fewer heads, the more parts, so that there are several pieces from 512 keys on.
  constexpr int64_t kFewQueries = 4, kMostPartKeys = 512, kKeysTimesHeads = 128;
  const int64_t part_keys = std::min(kMostPartKeys, kKeysTimesHeads * num_kv_heads);
  if (num_rows <= kFewQueries && segment.kept) parts = std::max<int64_t>(1, keys / part_keys);
}

void join_attention_parts(Graph& graph, const AttentionCut& cut, const AttentionShape& shape, const float* outputs,
                          const float* log_sums, float* out) {
  int64_t cols = int64_t{shape.num_heads} * shape.head_dim;
  graph.for_rows(cut.num_rows, cut.parts * cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      for (int head = 0; head < shape.num_heads; ++head) {
        auto log_sum = [&](int64_t part) { return log_sums[(part * cut.num_rows + row) * shape.num_heads + head]; };
        float largest = log_sum(0), total = 0;
        for (int64_t part = 1; part < cut.parts; ++part) largest = std::max(largest, log_sum(part));
        for (int64_t part = 0; part < cut.parts; ++part) total += std::exp(log_sum(part) - largest);
        float* to = out + row * cols + head * shape.head_dim;
        std::fill(to, to + shape.head_dim, 0.0f);
        for (int64_t part = 0; part < cut.parts; ++part) {
          float weight = std::exp(log_sum(part) - largest) / total;
          const float* from = outputs + (part * cut.num_rows + row) * cols + head * shape.head_dim;
          for (int i = 0; i < shape.head_dim; ++i) to[i] += weight * from[i];
        }
      }
    }
  });
}

}  // namespace retort::graph
