// LanguageModel: what every architecture offers, and the registry that makes one from a model file.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "graph/batch.h"
#include "graph/graph.h"
#include "models/hyperparameters.h"
#include "nn/declarations.h"
#include "nn/layers.h"

namespace retort::models {

/// A decoder-only transformer: immutable once its weights are bound, safe to use from many threads at once (each with a
/// Workspace of its own). Its weights point into the model file, which must outlive it.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  /// One forward pass over a batch: (batch.wanted, vocabulary), the logits of the token after each wanted row. With
  /// caches, stores keys and values at the segments' positions but does not advance the caches.
  graph::Var logits(graph::Graph& graph, const graph::Batch& batch) const {
    return logits(graph, hidden(graph, batch));
  }

  /// The output head alone: `hidden` is what hidden() gave.
  graph::Var logits(graph::Graph& graph, const graph::Var& hidden) const { return head_(graph, hidden); }

  /// The same without the output head: (batch.wanted, model_dim), normed: what the head reads. When `graph` records,
  /// what `batch` points to must live until the backward pass is over.
  virtual graph::Var hidden(graph::Graph& graph, const graph::Batch& batch) const = 0;

  graph::LinearWeights head() const { return head_.weights(); }

  /// Lets an adapter add to the product with `weight` ("blk.0.attn_q"), before the model is used. The factors must
  /// outlive it. Fails when there is no such product or shapes do not fit; `where` names the adapter.
  base::Status attach(std::string_view weight, const graph::LowRank& addition, std::string_view where);

  const Hyperparameters& hyperparameters() const { return hyperparameters_; }
  graph::KvShape kv_shape() const {
    return {hyperparameters_.num_layers, hyperparameters_.num_kv_heads, hyperparameters_.head_dim};
  }
  const nn::Declarations& declarations() const { return declarations_; }

 protected:
  explicit LanguageModel(Hyperparameters hyperparameters) : hyperparameters_(std::move(hyperparameters)) {}
  Hyperparameters hyperparameters_;
  nn::Declarations declarations_;
  nn::Head head_;  // declared by the architecture, after the layers
};

/// Makes the model that `file` describes and binds its weights. Fails when the architecture is unknown (listing the
/// known), a hyper-parameter is missing or senseless, or the tensors do not fit.
base::Result<std::unique_ptr<LanguageModel>> load_model(const formats::GgufFile& file);

/// A tensor that takes the place of the file's tensor of that name and shape; the memory must outlive the model.
struct Replacement {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  const std::byte* data = nullptr;
};
base::Result<std::unique_ptr<LanguageModel>> load_model(const formats::GgufFile& file,
                                                        std::span<const Replacement> replacements);

/// "gemma3, llama, qwen2, qwen3".
std::string architecture_names();

}  // namespace retort::models
