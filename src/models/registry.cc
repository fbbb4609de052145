#include <fmt/format.h>

#include "models/architectures.h"
#include "models/language_model.h"

namespace retort::models {
namespace {

struct Architecture {
  std::string_view name;  // general.architecture
  std::unique_ptr<LanguageModel> (*make)(const Hyperparameters&);
};

constexpr Architecture kArchitectures[] = {
#define RETORT_REGISTER(name) {#name, make_##name},
    RETORT_ARCHITECTURES(RETORT_REGISTER)
#undef RETORT_REGISTER
};

}  // namespace

std::string architecture_names() {
  std::string names;
  for (const Architecture& entry : kArchitectures) {
    names += names.empty() ? "" : ", ";
    names += entry.name;
  }
  return names;
}

base::Status LanguageModel::attach(std::string_view weight, const graph::LowRank& addition, std::string_view where) {
  std::string name = std::string(weight) + ".weight";
  for (const nn::Declaration& declaration : declarations_.all()) {
    if (declaration.name != name || declaration.additions == nullptr) continue;
    int64_t rank = addition.a.rows;
    if (rank < 1 || addition.b.cols != rank || addition.a.cols != declaration.cols ||
        addition.b.rows != declaration.rows)
      return base::fail(fmt::format("{}: {} has factors ({}, {}) and ({}, {}), expected (rank, {}) and ({}, rank)",
                                    where, weight, rank, addition.a.cols, addition.b.rows, addition.b.cols,
                                    declaration.cols, declaration.rows));
    declaration.additions->push_back(addition);
    return {};
  }
  return base::fail(fmt::format("{}: the model has no product with {} ({})", where, name, hyperparameters_.summary()));
}

base::Result<std::unique_ptr<LanguageModel>> load_model(const formats::GgufFile& file) {
  return load_model(file, {});
}

base::Result<std::unique_ptr<LanguageModel>> load_model(const formats::GgufFile& file,
                                                        std::span<const Replacement> replacements) {
  RETORT_TRY(std::optional<std::string_view> name, file.string("general.architecture"));
  for (const Architecture& entry : kArchitectures) {
    if (name != entry.name) continue;
    RETORT_TRY(Hyperparameters hyperparameters, read_hyperparameters(file));
    std::unique_ptr<LanguageModel> model = entry.make(hyperparameters);
    std::vector<nn::Offer> offers;
    offers.reserve(file.tensors().size());
    for (const formats::GgufTensor& tensor : file.tensors())
      offers.push_back({std::string(tensor.name), tensor.dtype,
                        std::vector<int64_t>(tensor.dims, tensor.dims + tensor.num_dims), tensor.data.data()});
    for (const Replacement& replacement : replacements)
      for (nn::Offer& offer : offers)
        if (offer.name == replacement.name) offer.dtype = replacement.dtype, offer.data = replacement.data;
    RETORT_TRY_STATUS(nn::bind(model->declarations(), offers, file.path(), hyperparameters.summary()));
    return model;
  }
  return base::fail(fmt::format("{}: general.architecture is \"{}\", known are {}", file.path(),
                                name.value_or("(missing)"), architecture_names()));
}

}  // namespace retort::models
