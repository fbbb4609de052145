// Adapters: low-rank changes to a model's matrices (LoRA, Hu et al. 2021) as files, in llama.cpp's GGUF form or PEFT's
// folder form. Plain data; runtime/merge.h adds one to a model's weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace retort::formats {

/// What an adapter was trained on; it is refused elsewhere. In a file of another program all but the architecture are
/// empty: not known.
struct BaseIdentity {
  std::string architecture;  // general.architecture
  std::string shape;  // "vocabulary=49152 model_dim=576 hidden_dim=1536 layers=30 heads=9 kv_heads=3 head_dim=64"
  std::string tokenizer_hash;  // hex sha256 of tokenizer.ggml.model, .pre, .tokens, .merges, .scores and .token_type
  std::string template_hash;   // hex sha256 of tokenizer.chat_template, empty when there is none
};

/// The identity of a model file. A value that the file lacks is empty, a number 0. Quantizing or merging a model does
/// not change it. Takes some milliseconds, as the vocabulary is hashed as it lies in the file.
BaseIdentity base_identity(const GgufFile& base);

/// The change to one matrix. Its rows and columns are in the order of a GGUF file, which for q and k of a Llama is not
/// that of a Hugging Face model: neighbouring elements rotate together.
struct AdapterFactors {
  std::string target;  // GGUF name of the weight without ".weight": "blk.0.attn_q"
  int64_t in_features = 0, out_features = 0, rank = 0;
  std::vector<float> a;  // (rank, in_features)
  std::vector<float> b;  // (out_features, rank)
};

/// y = W x + alpha / rank * B A x.
struct Adapter {
  BaseIdentity base;
  std::string name;
  float alpha = 0;
  std::vector<AdapterFactors> factors;
};

/// Fails when the adapter was trained on another model than `base`, with a message that says what differs and both
/// values; what the adapter does not know is not compared. The paths are for the message.
base::Status check_base(const Adapter& adapter, const BaseIdentity& base, std::string_view adapter_path,
                        std::string_view base_path);

/// Reads a .gguf file or a PEFT folder (adapter_config.json, adapter_model.safetensors). A folder that another program
/// wrote does not say what it was trained on: it is taken to be `base`, and an error without one. Every matrix target
/// that both forms can name is read; embeddings, biases, DoRA and fully trained modules are refused by name.
base::Result<Adapter> read_adapter(const std::filesystem::path& path, const BaseIdentity* base = nullptr);

/// Writes (atomically) a file that llama.cpp loads, with the factors in F32 and what is known of the base.
/// RETORT_CHECKs that alpha is positive and that factors are there and as large as their shapes say.
base::Status write_adapter_gguf(const Adapter& adapter, const std::filesystem::path& path);

/// What a PEFT folder says besides.
struct PeftInfo {
  std::string base_model;  // base_model_name_or_path: a Hugging Face name or folder; may be empty
};

/// Writes a folder that PEFT loads, making it where it is not there. Fails for an architecture or target whose name in
/// Hugging Face's models is not known: known are the projections of llama, qwen2, qwen3 and gemma3 and the output head.
base::Status write_adapter_peft(const Adapter& adapter, const std::filesystem::path& folder, const PeftInfo& info = {});

/// check_base, and that every target is a matrix of `base` with the factors' numbers of rows and columns.
base::Status check_fits(const Adapter& adapter, const GgufFile& base, std::string_view adapter_path);

}  // namespace retort::formats
