// Attention of few queries over a long past, cut into parts of the keys so that every thread has work.
#pragma once

#include "graph/batch.h"
#include "graph/graph.h"
#include "graph/ops/attention.h"

namespace retort::graph {

/// How the work on one segment is cut: blocks of queries, which share its keys in the cache; kv heads; and, where few
/// queries meet a long past, parts of the keys. Independent of the number of threads, on which no result may depend.
struct AttentionCut {
  static constexpr int64_t kQueryBlock = 32;

  AttentionCut(const Segment& segment, const AttentionShape& shape);

  int64_t num_pieces() const { return blocks * parts * num_kv_heads; }
  /// Rows of partial results: `parts` times the segment's rows, none where there is one part.
  int64_t part_rows() const { return parts > 1 ? parts * num_rows : 0; }
  int64_t part_begin(int64_t part) const { return first_key + keys * part / parts; }

  int64_t num_rows, num_kv_heads;
  int64_t blocks, parts;
  int64_t first_key, keys;  // that any query sees
};

/// Puts the parts of one segment together: `outputs` (part_rows, heads * head_dim) and `log_sums` (part_rows, heads),
/// one part after the other, become `out` (num_rows, heads * head_dim).
void join_attention_parts(Graph& graph, const AttentionCut& cut, const AttentionShape& shape, const float* outputs,
                          const float* log_sums, float* out);

}  // namespace retort::graph
