#include "runtime/model.h"

#include <fmt/format.h>

namespace retort::runtime {

base::Result<std::unique_ptr<Model>> Model::load(const std::string& path) {
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  std::unique_ptr<Model> model(new Model(std::move(file)));
  RETORT_TRY(model->network_, models::load_model(model->file_));
  RETORT_TRY(model->tokenizer_, text::Tokenizer::load(model->file_));
  if (model->tokenizer_->vocabulary().size() > model->hyperparameters().vocabulary_size)
    return base::fail(fmt::format("{}: the tokenizer has {} tokens, the embedding table {} rows", path,
                                  model->tokenizer_->vocabulary().size(), model->hyperparameters().vocabulary_size));
  return model;
}

std::optional<std::string> Model::chat_template_source() const {
  auto source = file_.string("tokenizer.chat_template");
  if (!source || !*source) return std::nullopt;
  return std::string(**source);
}

}  // namespace retort::runtime
