// Model: a language model ready to use: its file, network, tokenizer and chat template.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "models/language_model.h"
#include "text/tokenizer.h"

namespace retort::runtime {

/// Immutable and thread-safe once loaded. Loading maps the file and reads its vocabulary; weights are paged in as they
/// are used.
class Model {
 public:
  /// Fails when the file is not a model that Retort can run; the message begins with the path.
  static base::Result<std::unique_ptr<Model>> load(const std::string& path);

  const formats::GgufFile& file() const { return file_; }
  const models::LanguageModel& network() const { return *network_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const models::Hyperparameters& hyperparameters() const { return network_->hyperparameters(); }

  /// The Jinja source of the model's chat template; nothing for a base model.
  std::optional<std::string> chat_template_source() const;

 private:
  explicit Model(formats::GgufFile file) : file_(std::move(file)) {}
  formats::GgufFile file_;
  std::unique_ptr<models::LanguageModel> network_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

}  // namespace retort::runtime
