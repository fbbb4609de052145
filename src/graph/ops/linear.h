// Linear: products with weight matrices in their stored type, and low-rank additions to them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// y += scale * (x A^T) B^T. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021).
struct LowRank {
  tensor::Tensor a;  // (rank, in_features), F32
  tensor::Tensor b;  // (out_features, rank), F32
  float scale = 1;
  uint64_t id = 0;  // of its own within the model, for dropout
};

/// A matrix (out_features, in_features) and, when not empty, an F32 bias of out_features, and what adapters add.
struct LinearWeights {
  tensor::Tensor matrix;
  tensor::Tensor bias;
  std::vector<LowRank> additions;
};

/// x (tokens, in_features) -> (tokens, out_features).
Var linear(Graph& graph, const Var& x, const LinearWeights& weights);

/// Several products of the same input at the cost of one start of the threads: outputs[i] = linear(x, weights[i]).
void linear_all(Graph& graph, const Var& x, std::span<const LinearWeights* const> weights, std::span<Var> outputs);

/// The product alone, without additions and without a step for its gradient.
Var product(Graph& graph, const Var& x, const LinearWeights& weights);

}  // namespace retort::graph
