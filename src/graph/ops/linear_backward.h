// What linear() does beside the product itself: low-rank additions, and the step that passes gradients on.
#pragma once

#include "graph/graph.h"
#include "graph/ops/linear.h"

namespace retort::graph {

/// Adds the weights' low-rank additions to y = x W^T + bias and, when training, records the gradient of it all.
void finish_linear(Graph& graph, const Var& x, const LinearWeights& weights, Var& y);

}  // namespace retort::graph
