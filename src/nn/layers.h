// The building blocks of a decoder: each declares its weights under a name, then computes.
#pragma once

#include <string>

#include "graph/batch.h"
#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/linear.h"
#include "graph/ops/rope.h"
#include "nn/declarations.h"

namespace retort::nn {

/// y = W x (+ b). Weights: NAME.weight (out, in), optionally NAME.bias (out).
class Linear {
 public:
  enum class Bias { kNone, kRequired, kOptional };
  void declare(Declarations& declarations, const std::string& name, int64_t in_features, int64_t out_features,
               Bias bias = Bias::kNone);
  graph::Var operator()(graph::Graph& graph, const graph::Var& x) const { return graph::linear(graph, x, weights_); }
  const graph::LinearWeights& weights() const { return weights_; }

 private:
  graph::LinearWeights weights_;
};

/// Token embeddings: NAME.weight (vocabulary, model_dim), any type.
class Embedding {
 public:
  void declare(Declarations& declarations, const std::string& name, int64_t vocabulary_size, int64_t model_dim);
  graph::Var operator()(graph::Graph& graph, const graph::Batch& batch) const;
  const tensor::Tensor& table() const { return table_; }

 private:
  tensor::Tensor table_;
};

/// The output head: NAME.weight (vocabulary, model_dim), or the embedding table where the file has none (tied weights).
class Head {
 public:
  void declare(Declarations& declarations, const std::string& name, int64_t vocabulary_size, int64_t model_dim,
               const Embedding& embedding);
  graph::Var operator()(graph::Graph& graph, const graph::Var& x) const;
  bool tied() const { return !own_.matrix; }
  graph::LinearWeights weights() const;

 private:
  graph::LinearWeights own_;
  const Embedding* embedding_ = nullptr;
};

/// Root-mean-square norm over NAME.weight's length: of a whole row, or of each head.
class RmsNorm {
 public:
  void declare(Declarations& declarations, const std::string& name, int64_t size, float epsilon);
  graph::Var operator()(graph::Graph& graph, const graph::Var& x) const;

 private:
  tensor::Tensor weight_;
  float epsilon_ = 0;
};

/// Grouped-query attention with rotary positions: PREFIX.attn_{q,k,v,output}, optionally a norm on each q and k head.
class Attention {
 public:
  struct Options {
    Linear::Bias qkv_bias = Linear::Bias::kNone;
    Linear::Bias output_bias = Linear::Bias::kNone;
    bool head_norms = false;  // PREFIX.attn_{q,k}_norm
    float norm_epsilon = 0;
  };
  void declare(Declarations& declarations, const std::string& prefix, int64_t model_dim, int layer,
               const graph::AttentionShape& shape, const Options& options);

  /// x (tokens, model_dim), normed already -> (tokens, model_dim). `angles` are rope's for this batch.
  graph::Var operator()(graph::Graph& graph, const graph::Var& x, const graph::Batch& batch, const graph::Rope& rope,
                        const graph::Var& angles) const;

 private:
  int layer_ = 0;
  graph::AttentionShape shape_;
  bool head_norms_ = false;
  Linear query_, key_, value_, output_;
  RmsNorm query_norm_, key_norm_;
};

/// Gated feed-forward network: down(activation(gate(x)) * up(x)). PREFIX.ffn_{gate,up,down}.
class GatedMlp {
 public:
  void declare(Declarations& declarations, const std::string& prefix, int64_t model_dim, int64_t hidden_dim,
               kernels::Activation activation);
  graph::Var operator()(graph::Graph& graph, const graph::Var& x) const;

 private:
  kernels::Activation activation_ = kernels::Activation::kSilu;
  Linear gate_, up_, down_;
};

}  // namespace retort::nn
