// Linear: products with weight matrices in their stored type.
#pragma once

#include <span>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// A matrix (out_features, in_features) and, when not empty, an F32 bias of out_features.
struct LinearWeights {
  tensor::Tensor matrix;
  tensor::Tensor bias;
};

/// x (tokens, in_features) -> (tokens, out_features).
Var linear(Graph& graph, const Var& x, const LinearWeights& weights);

/// Several products of the same input at the cost of one start of the threads: outputs[i] = linear(x, weights[i]).
void linear_all(Graph& graph, const Var& x, std::span<const LinearWeights* const> weights, std::span<Var> outputs);

}  // namespace retort::graph
