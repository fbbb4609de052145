// Student: a model together with the parameters that a run trains, and their gradients.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/huge_pages.h"
#include "base/result.h"
#include "formats/adapter.h"
#include "formats/gguf.h"
#include "graph/training.h"
#include "models/language_model.h"
#include "training/adamw.h"

namespace retort::training {

struct LoraOptions {
  int64_t rank = 16;
  double alpha = 32;                      // the addition's scale is alpha / rank
  std::vector<std::string> targets = {};  // "attn_q", "ffn_down", ...; empty: every projection of attention and MLP
  int64_t last_layers = 0;                // only in the last so many layers; 0: in all
  uint64_t seed = 0;                      // of the first values of A
};

struct FullOptions {
  bool bfloat16 = true;     // matrices are kept in bf16 beside their fp32 masters
  int64_t last_layers = 0;  // as above; with it, embeddings and head are frozen
};

/// Owns the parameters; points into the model file, which must outlive it. Not thread-safe.
class Student {
 public:
  /// Low-rank adapters on a frozen model, which is used as it lies in the file. A starts as PEFT's does: uniform within
  /// 1 / sqrt(in_features); B with zeros, so that nothing changes at first; or both as `initial` has them, whose
  /// targets and ranks then replace those of the options. Fails when a target is not in the model or the initial
  /// adapter does not fit.
  static base::Result<std::unique_ptr<Student>> lora(const formats::GgufFile& file, const LoraOptions& options,
                                                     const formats::Adapter* initial = nullptr);

  /// All weights, dequantized.
  static base::Result<std::unique_ptr<Student>> full(const formats::GgufFile& file, const FullOptions& options);

  const models::LanguageModel& model() const { return *model_; }
  const formats::GgufFile& file() const { return *file_; }
  /// What forward passes that train are given; precision, dropout and memory are the trainer's to set.
  graph::Training& training() { return training_; }
  const graph::Training& training() const { return training_; }

  /// For the optimizer; the spans stay valid.
  std::vector<OptimizerParameter> parameters();
  int64_t num_parameters() const;

  /// How many of the first layers nothing is trained in or before.
  int64_t num_frozen_layers() const;

  bool is_adapter() const { return !factors_.empty(); }
  /// The adapter as it stands.
  formats::Adapter adapter() const;
  /// Of a fully trained model: the base's file with the weights as they stand, matrices in `dtype` (F32, F16 or BF16).
  base::Status write_model(const std::string& path, tensor::DType dtype) const;

 private:
  struct Parameter {
    std::string name;
    int64_t rows = 0, cols = 0;
    bool decays = true;
    base::HugeVector<float> value, gradient;
    base::HugeVector<uint16_t> bfloat16;  // rounded copy, or empty
  };
  struct Factors {
    std::string target;
    size_t a, b;  // in parameters_
  };
  explicit Student(const formats::GgufFile& file) : file_(&file) {}
  size_t add_parameter(std::string name, int64_t rows, int64_t cols);

  const formats::GgufFile* file_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Factors> factors_;
  double alpha_ = 0;
  graph::Training training_;
  std::unique_ptr<models::LanguageModel> model_;
};

}  // namespace retort::training
