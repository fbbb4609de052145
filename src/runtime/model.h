// Model: a language model ready to use: its file, network, tokenizer and chat template.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/adapter.h"
#include "formats/gguf.h"
#include "models/language_model.h"
#include "text/tokenizer.h"

namespace retort::runtime {

/// An adapter to load with a model: a GGUF file or a PEFT folder, and what its change is multiplied by.
struct AdapterChoice {
  std::string path;
  double scale = 1;
};

/// Immutable and thread-safe once loaded. Loading maps the file and reads its vocabulary; weights are paged in as they
/// are used.
class Model {
 public:
  /// Fails when the file is not a model that Retort can run; the message begins with the path.
  /// Adapters' changes add up; one that was trained on another model is refused, with what differs.
  static base::Result<std::unique_ptr<Model>> load(const std::string& path,
                                                   std::span<const AdapterChoice> adapters = {});

  const formats::GgufFile& file() const { return file_; }
  const models::LanguageModel& network() const { return *network_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const models::Hyperparameters& hyperparameters() const { return network_->hyperparameters(); }

  /// The Jinja source of the model's chat template; nothing for a base model.
  std::optional<std::string> chat_template_source() const;

 private:
  explicit Model(formats::GgufFile file) : file_(std::move(file)) {}
  base::Status attach(const AdapterChoice& choice);

  formats::GgufFile file_;
  std::vector<std::unique_ptr<const formats::Adapter>> adapters_;
  std::unique_ptr<models::LanguageModel> network_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

}  // namespace retort::runtime
