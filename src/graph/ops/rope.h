// Rotary position embedding.
#pragma once

#include "graph/batch.h"
#include "graph/graph.h"

namespace retort::graph {

/// Rotary position embedding of one kind of layer. Su et al., "RoFormer" (2021).
struct Rope {
  kernels::RopeLayout layout = kernels::RopeLayout::kHalves;
  int dim = 0;                     // elements of a head that rotate; even
  double base = 10000;             // theta
  double position_scale = 1;       // positions are multiplied by it (linear scaling)
  const float* factors = nullptr;  // dim / 2 divisors of the frequencies (llama 3 scaling), or null
};

/// Cosines and sines of every row's position: (tokens, dim), the cosines first. Computed once per batch and kind of
/// layer.
Var rope_angles(Graph& graph, const Rope& rope, const Batch& batch);

/// Rotates each head of x (tokens, heads * head_dim).
Var apply_rope(Graph& graph, const Var& x, int head_dim, const Rope& rope, const Var& angles);

}  // namespace retort::graph
