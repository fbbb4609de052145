#include "runtime/model.h"

#include <fmt/format.h>

namespace retort::runtime {

base::Result<std::unique_ptr<Model>> Model::load(const std::string& path, std::span<const AdapterChoice> adapters) {
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  std::unique_ptr<Model> model(new Model(std::move(file)));
  RETORT_TRY(model->network_, models::load_model(model->file_));
  RETORT_TRY(model->tokenizer_, text::Tokenizer::load(model->file_));
  if (model->tokenizer_->vocabulary().size() > model->hyperparameters().vocabulary_size)
    return base::fail(fmt::format("{}: the tokenizer has {} tokens, the embedding table {} rows", path,
                                  model->tokenizer_->vocabulary().size(), model->hyperparameters().vocabulary_size));
  for (const AdapterChoice& choice : adapters) RETORT_TRY_STATUS(model->attach(choice));
  return model;
}

base::Status Model::attach(const AdapterChoice& choice) {
  formats::BaseIdentity identity = formats::base_identity(file_);
  RETORT_TRY(formats::Adapter read, formats::read_adapter(choice.path, &identity));
  RETORT_TRY_STATUS(formats::check_base(read, identity, choice.path, file_.path()));
  RETORT_TRY_STATUS(formats::check_fits(read, file_, choice.path));
  adapters_.push_back(std::make_unique<const formats::Adapter>(std::move(read)));
  for (const formats::AdapterFactors& factors : adapters_.back()->factors) {
    auto tensor = [](const std::vector<float>& values, int64_t rows, int64_t cols) {
      return tensor::Tensor{tensor::DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data())};
    };
    auto scale = static_cast<float>(choice.scale * adapters_.back()->alpha / static_cast<double>(factors.rank));
    graph::LowRank addition{tensor(factors.a, factors.rank, factors.in_features),
                            tensor(factors.b, factors.out_features, factors.rank), scale, 0};
    RETORT_TRY_STATUS(network_->attach(factors.target, addition, choice.path));
  }
  return {};
}

std::optional<std::string> Model::chat_template_source() const {
  auto source = file_.string("tokenizer.chat_template");
  if (!source || !*source) return std::nullopt;
  return std::string(**source);
}

}  // namespace retort::runtime
