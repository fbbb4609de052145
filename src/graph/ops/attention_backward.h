// The gradient of attention().
#pragma once

#include "graph/batch.h"
#include "graph/graph.h"
#include "graph/ops/attention.h"

namespace retort::graph {

/// Passes dout on to q, k and v, which attention() read over a batch without caches. Scores are computed again, for a
/// block of queries at a time: memory is linear in the length.
void attention_backward(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape,
                        std::span<const Segment> segments, const Gradient& dout);

}  // namespace retort::graph
