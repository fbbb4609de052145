// Gemma 3 text decoder: norms before and after each part, norms on each q and k head, GeGLU, scaled embeddings, and
// five sliding-window layers with a RoPE base of their own for every layer that sees everything. Gemma Team, "Gemma 3
// Technical Report" (2025). GGUF files store norm weights with their 1 added.
#include <cmath>
#include <vector>

#include "graph/ops/elementwise.h"
#include "models/architectures.h"
#include "nn/layers.h"

namespace retort::models {
namespace {

constexpr int kPattern = 6;  // every sixth layer is global

class Gemma3 final : public LanguageModel {
 public:
  explicit Gemma3(const Hyperparameters& h) : LanguageModel(h), blocks_(static_cast<size_t>(h.num_layers)) {
    embed_.declare(declarations_, "token_embd", h.vocabulary_size, h.model_dim);
    for (int i = 0; i < h.num_layers; ++i) {
      Block& block = blocks_[static_cast<size_t>(i)];
      block.local = h.sliding_window > 0 && i % kPattern != kPattern - 1;
      graph::AttentionShape shape{h.num_heads, h.num_kv_heads, h.head_dim, attention_scale(h),
                                  block.local ? h.sliding_window : 0};
      std::string prefix = "blk." + std::to_string(i);
      block.attention_norm.declare(declarations_, prefix + ".attn_norm", h.model_dim, h.norm_epsilon);
      block.attention.declare(declarations_, prefix, h.model_dim, i, shape,
                              {.head_norms = true, .norm_epsilon = h.norm_epsilon});
      block.post_attention_norm.declare(declarations_, prefix + ".post_attention_norm", h.model_dim, h.norm_epsilon);
      block.mlp_norm.declare(declarations_, prefix + ".ffn_norm", h.model_dim, h.norm_epsilon);
      block.mlp.declare(declarations_, prefix, h.model_dim, h.hidden_dim, kernels::Activation::kGeluTanh);
      block.post_mlp_norm.declare(declarations_, prefix + ".post_ffw_norm", h.model_dim, h.norm_epsilon);
    }
    final_norm_.declare(declarations_, "output_norm", h.model_dim, h.norm_epsilon);
    head_.declare(declarations_, "output", h.vocabulary_size, h.model_dim, embed_);
  }

  graph::Var hidden(graph::Graph& g, const graph::Batch& batch) const override {
    const Hyperparameters& h = hyperparameters_;
    graph::Rope global{kernels::RopeLayout::kHalves, h.rope_dim, h.rope_base, h.rope_scale, nullptr};
    graph::Rope local{kernels::RopeLayout::kHalves, h.rope_dim, h.rope_base_local, 1, nullptr};
    graph::Var global_angles = graph::rope_angles(g, global, batch);
    graph::Var local_angles = graph::rope_angles(g, local, batch);
    graph::Var x = graph::scale(g, embed_(g, batch), std::sqrt(static_cast<float>(h.model_dim)));
    for (const Block& block : blocks_) {
      const graph::Rope& rope = block.local ? local : global;
      const graph::Var& angles = block.local ? local_angles : global_angles;
      x = g.block(x, [&g, &block, batch, rope, angles](const graph::Var& in) {
        graph::Var a = block.attention(g, block.attention_norm(g, in), batch, rope, angles);
        graph::Var mid = in + block.post_attention_norm(g, a);
        return mid + block.post_mlp_norm(g, block.mlp(g, block.mlp_norm(g, mid)));
      });
    }
    return final_norm_(g, graph::rows(g, x, batch.wanted));
  }

 private:
  struct Block {
    bool local = false;
    nn::RmsNorm attention_norm, post_attention_norm, mlp_norm, post_mlp_norm;
    nn::Attention attention;
    nn::GatedMlp mlp;
  };
  nn::Embedding embed_;
  std::vector<Block> blocks_;
  nn::RmsNorm final_norm_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_gemma3(const Hyperparameters& h) {
  return std::make_unique<Gemma3>(h);
}

}  // namespace retort::models
