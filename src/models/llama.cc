// Llama decoder: pre-norm, grouped-query attention, SwiGLU. Also Mistral, SmolLM2 and others that share the design.
// Touvron et al., "LLaMA" (2023). GGUF files store q and k rows so that neighbouring elements rotate together.
#include <vector>

#include "graph/ops/elementwise.h"
#include "models/architectures.h"
#include "nn/layers.h"

namespace retort::models {
namespace {

class Llama final : public LanguageModel {
 public:
  explicit Llama(const Hyperparameters& h) : LanguageModel(h), blocks_(static_cast<size_t>(h.num_layers)) {
    embed_.declare(declarations_, "token_embd", h.vocabulary_size, h.model_dim);
    declarations_.optional_vector(rope_factors_, "rope_freqs.weight", h.rope_dim / 2);
    graph::AttentionShape shape{h.num_heads, h.num_kv_heads, h.head_dim, attention_scale(h), 0};
    for (int i = 0; i < h.num_layers; ++i) {
      Block& block = blocks_[static_cast<size_t>(i)];
      std::string prefix = "blk." + std::to_string(i);
      block.attention_norm.declare(declarations_, prefix + ".attn_norm", h.model_dim, h.norm_epsilon);
      block.attention.declare(declarations_, prefix, h.model_dim, i, shape,
                              {.qkv_bias = nn::Linear::Bias::kOptional, .output_bias = nn::Linear::Bias::kOptional});
      block.mlp_norm.declare(declarations_, prefix + ".ffn_norm", h.model_dim, h.norm_epsilon);
      block.mlp.declare(declarations_, prefix, h.model_dim, h.hidden_dim, kernels::Activation::kSilu);
    }
    final_norm_.declare(declarations_, "output_norm", h.model_dim, h.norm_epsilon);
    head_.declare(declarations_, "output", h.vocabulary_size, h.model_dim, embed_);
  }

  graph::Var hidden(graph::Graph& g, const graph::Batch& batch) const override {
    const Hyperparameters& h = hyperparameters_;
    graph::Rope rope{kernels::RopeLayout::kInterleaved, h.rope_dim, h.rope_base, h.rope_scale,
                     rope_factors_ ? rope_factors_.floats() : nullptr};
    graph::Var angles = graph::rope_angles(g, rope, batch);
    graph::Var x = embed_(g, batch);
    for (const Block& block : blocks_)
      x = g.block(x, [&g, &block, batch, rope, angles](const graph::Var& in) {
        graph::Var mid = in + block.attention(g, block.attention_norm(g, in), batch, rope, angles);
        return mid + block.mlp(g, block.mlp_norm(g, mid));
      });
    return final_norm_(g, graph::rows(g, x, batch.wanted));
  }

 private:
  struct Block {
    nn::RmsNorm attention_norm, mlp_norm;
    nn::Attention attention;
    nn::GatedMlp mlp;
  };
  nn::Embedding embed_;
  tensor::Tensor rope_factors_;
  std::vector<Block> blocks_;
  nn::RmsNorm final_norm_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_llama(const Hyperparameters& h) {
  return std::make_unique<Llama>(h);
}

}  // namespace retort::models
