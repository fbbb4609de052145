#include "nn/layers.h"

#include <array>

#include "graph/ops/elementwise.h"

namespace retort::nn {

using graph::Graph;
using graph::Var;

void Linear::declare(Declarations& declarations, const std::string& name, int64_t in_features, int64_t out_features,
                     Bias bias) {
  declarations.linear(weights_, name + ".weight", out_features, in_features);
  if (bias == Bias::kRequired) declarations.vector(weights_.bias, name + ".bias", out_features);
  if (bias == Bias::kOptional) declarations.optional_vector(weights_.bias, name + ".bias", out_features);
}

void Embedding::declare(Declarations& declarations, const std::string& name, int64_t vocabulary_size,
                        int64_t model_dim) {
  declarations.matrix(table_, name + ".weight", vocabulary_size, model_dim);
}

Var Embedding::operator()(Graph& graph, const graph::Batch& batch) const {
  return graph::embedding(graph, table_, batch.tokens);
}

void Head::declare(Declarations& declarations, const std::string& name, int64_t vocabulary_size, int64_t model_dim,
                   const Embedding& embedding) {
  embedding_ = &embedding;
  declarations.optional_matrix(own_.matrix, name + ".weight", vocabulary_size, model_dim);
}

graph::LinearWeights Head::weights() const {
  return tied() ? graph::LinearWeights{embedding_->table(), {}, {}} : own_;
}

Var Head::operator()(Graph& graph, const Var& x) const {
  return graph::linear(graph, x, weights());
}

void RmsNorm::declare(Declarations& declarations, const std::string& name, int64_t size, float epsilon) {
  epsilon_ = epsilon;
  declarations.vector(weight_, name + ".weight", size);
}

Var RmsNorm::operator()(Graph& graph, const Var& x) const {
  return graph::rms_norm(graph, x, weight_, epsilon_);
}

void Attention::declare(Declarations& declarations, const std::string& prefix, int64_t model_dim, int layer,
                        const graph::AttentionShape& shape, const Options& options) {
  layer_ = layer;
  shape_ = shape;
  head_norms_ = options.head_norms;
  int64_t query_dim = int64_t{shape.num_heads} * shape.head_dim, kv_dim = int64_t{shape.num_kv_heads} * shape.head_dim;
  query_.declare(declarations, prefix + ".attn_q", model_dim, query_dim, options.qkv_bias);
  key_.declare(declarations, prefix + ".attn_k", model_dim, kv_dim, options.qkv_bias);
  value_.declare(declarations, prefix + ".attn_v", model_dim, kv_dim, options.qkv_bias);
  output_.declare(declarations, prefix + ".attn_output", query_dim, model_dim, options.output_bias);
  if (!head_norms_) return;
  query_norm_.declare(declarations, prefix + ".attn_q_norm", shape.head_dim, options.norm_epsilon);
  key_norm_.declare(declarations, prefix + ".attn_k_norm", shape.head_dim, options.norm_epsilon);
}

Var Attention::operator()(Graph& graph, const Var& x, const graph::Batch& batch, const graph::Rope& rope,
                          const Var& angles) const {
  std::array<const graph::LinearWeights*, 3> weights = {&query_.weights(), &key_.weights(), &value_.weights()};
  std::array<Var, 3> qkv;
  graph::linear_all(graph, x, weights, qkv);
  auto& [q, k, v] = qkv;
  if (head_norms_) {
    q = query_norm_(graph, q);
    k = key_norm_(graph, k);
  }
  q = graph::apply_rope(graph, q, shape_.head_dim, rope, angles);
  k = graph::apply_rope(graph, k, shape_.head_dim, rope, angles);
  graph::AttentionShape shape = shape_;
  shape.may_round_scores = head_norms_ || (!query_.weights().bias && !key_.weights().bias);
  return output_(graph, graph::attention(graph, q, k, v, shape, layer_, batch));
}

void GatedMlp::declare(Declarations& declarations, const std::string& prefix, int64_t model_dim, int64_t hidden_dim,
                       kernels::Activation activation) {
  activation_ = activation;
  gate_.declare(declarations, prefix + ".ffn_gate", model_dim, hidden_dim);
  up_.declare(declarations, prefix + ".ffn_up", model_dim, hidden_dim);
  down_.declare(declarations, prefix + ".ffn_down", hidden_dim, model_dim);
}

Var GatedMlp::operator()(Graph& graph, const Var& x) const {
  std::array<const graph::LinearWeights*, 2> weights = {&gate_.weights(), &up_.weights()};
  std::array<Var, 2> outputs;
  graph::linear_all(graph, x, weights, outputs);
  Var hidden = graph::gated(graph, activation_, outputs[0], outputs[1]);
  outputs = {};
  return down_(graph, hidden);
}

}  // namespace retort::nn
