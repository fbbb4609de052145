// Cross-entropy of next tokens over a large vocabulary, in memory that does not grow with tokens x vocabulary.
#pragma once

#include <cstdint>
#include <span>

#include "graph/graph.h"
#include "graph/ops/linear.h"

namespace retort::graph {

/// The sum over rows of weights[i] * -log softmax(hidden[i] W^T)[targets[i]]. hidden is (rows, model_dim), `head`
/// (vocabulary, model_dim); targets are below the vocabulary size. The vocabulary is taken in blocks, once; where the
/// head is trained, once more, but for what products in bf16 let it keep in 64 MiB. When training, gradients are
/// computed here and now: those of gradient_scale times the loss.
double cross_entropy(Graph& graph, const Var& hidden, const LinearWeights& head, std::span<const int32_t> targets,
                     std::span<const float> weights, float gradient_scale);

}  // namespace retort::graph
