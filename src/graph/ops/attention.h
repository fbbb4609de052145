// Attention over a KV cache when serving and over the batch itself when training.
#pragma once

#include "graph/batch.h"
#include "graph/graph.h"

namespace retort::graph {

struct AttentionShape {
  int num_heads = 0, num_kv_heads = 0, head_dim = 0;
  float scale = 1;     // of the scores
  int64_t window = 0;  // positions a query sees, itself included; 0: all before it
  /// Whether queries and keys may be rounded to bf16 where a graph may round at all and keys are cached (training gains
  /// no speed by it). Not when the projections add biases: those can be hundreds (Qwen2.5), and what differs between
  /// keys is lost beside them.
  bool may_round_scores = false;
};

/// Causal attention within each segment and to the past before it (graph/batch.h). q is (tokens, num_heads * head_dim),
/// k and v (tokens, num_kv_heads * head_dim), rotated already; the result has q's shape. With caches, k and v are first
/// stored at the segment's positions of `layer`; the caches' length is advanced by whoever runs the batch, once all
/// layers are done. Alternatives see the positions before their own, those stored by this batch's kept segments
/// included.
Var attention(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape, int layer,
              const Batch& batch);

}  // namespace retort::graph
