#include "training/student.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "formats/gguf_writer.h"
#include "kernels/dequantize.h"
#include "kernels/quantize.h"
#include "tensor/half.h"

namespace retort::training {
namespace {

constexpr std::string_view kWeight = ".weight";

/// The layer of "blk.7.attn_q.weight"; -1 for what belongs to none.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  return std::strtoll(std::string(name.substr(4)).c_str(), nullptr, 10);
}

/// "attn_q" of "blk.7.attn_q".
std::string_view part_of(std::string_view target) {
  return target.substr(target.rfind('.') + 1);
}

tensor::Tensor tensor_of(std::span<const float> values, int64_t rows, int64_t cols) {
  return {tensor::DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data())};
}

}  // namespace

size_t Student::add_parameter(std::string name, int64_t rows, int64_t cols) {
  auto parameter = std::make_unique<Parameter>();
  parameter->name = std::move(name);
  parameter->rows = rows;
  parameter->cols = cols;
  parameter->value.resize(static_cast<size_t>(rows * cols));
  parameter->gradient.resize(parameter->value.size());
  parameters_.push_back(std::move(parameter));
  return parameters_.size() - 1;
}

base::Result<std::unique_ptr<Student>> Student::lora(const formats::GgufFile& file, const LoraOptions& options,
                                                     const formats::Adapter* initial) {
  std::unique_ptr<Student> student(new Student(file));
  RETORT_TRY(student->model_, models::load_model(file));
  if (initial != nullptr) RETORT_TRY_STATUS(formats::check_fits(*initial, file, initial->name));
  student->alpha_ = initial != nullptr ? initial->alpha : options.alpha;
  int64_t layers = student->model_->hyperparameters().num_layers;
  std::vector<std::string> unmatched = options.targets, known;
  base::Random random(options.seed);
  for (const nn::Declaration& declaration : student->model_->declarations().all()) {
    if (declaration.additions == nullptr || !declaration.name.ends_with(kWeight)) continue;
    std::string target = declaration.name.substr(0, declaration.name.size() - kWeight.size());
    std::string part(part_of(target));
    if (std::find(known.begin(), known.end(), part) == known.end()) known.push_back(part);
    std::erase(unmatched, part);
    const formats::AdapterFactors* given = nullptr;
    if (initial != nullptr) {
      for (const formats::AdapterFactors& factors : initial->factors)
        if (factors.target == target) given = &factors;
      if (given == nullptr) continue;
    } else {
      bool wanted = options.targets.empty() ||
                    std::find(options.targets.begin(), options.targets.end(), part) != options.targets.end();
      if (!wanted || (options.last_layers > 0 && layer_of(target) < layers - options.last_layers)) continue;
    }
    int64_t rank = given != nullptr ? given->rank : options.rank;
    Factors factors{target, student->add_parameter(target + ".lora_a", rank, declaration.cols),
                    student->add_parameter(target + ".lora_b", declaration.rows, rank)};
    Parameter &a = *student->parameters_[factors.a], &b = *student->parameters_[factors.b];
    if (given != nullptr) {
      a.value.assign(given->a.begin(), given->a.end());
      b.value.assign(given->b.begin(), given->b.end());
    } else {
      auto limit = 1 / std::sqrt(static_cast<double>(declaration.cols));
      for (float& v : a.value) v = static_cast<float>((2 * random.uniform() - 1) * limit);
    }
    graph::LowRank addition{tensor_of(a.value, a.rows, a.cols), tensor_of(b.value, b.rows, b.cols),
                            static_cast<float>(student->alpha_ / static_cast<double>(rank)),
                            student->factors_.size() + 1};
    RETORT_TRY_STATUS(student->model_->attach(target, addition, file.path()));
    student->factors_.push_back(factors);
  }
  if (!unmatched.empty())
    return base::fail(fmt::format("no product of the model is called {}; there are {}", fmt::join(unmatched, ", "),
                                  fmt::join(known, ", ")));
  if (student->factors_.empty()) return base::fail(fmt::format("{}: nothing to train", file.path()));
  for (const auto& parameter : student->parameters_)
    student->training_.gradients[reinterpret_cast<const std::byte*>(parameter->value.data())] =
        parameter->gradient.data();
  return student;
}

base::Result<std::unique_ptr<Student>> Student::full(const formats::GgufFile& file, const FullOptions& options) {
  std::unique_ptr<Student> student(new Student(file));
  RETORT_TRY(std::unique_ptr<models::LanguageModel> base_model, models::load_model(file));
  int64_t first = options.last_layers > 0 ? base_model->hyperparameters().num_layers - options.last_layers : -1;
  std::vector<models::Replacement> replacements;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    if (layer_of(tensor.name) < first || tensor.name == "rope_freqs.weight") continue;
    int64_t cols = tensor.dims[0], rows = 1;
    for (int i = 1; i < tensor.num_dims; ++i) rows *= tensor.dims[i];
    Parameter& parameter = *student->parameters_[student->add_parameter(std::string(tensor.name), rows, cols)];
    int64_t row_bytes = tensor::row_bytes(tensor.dtype, cols);
    for (int64_t row = 0; row < rows; ++row)
      kernels::dequantize_row(tensor.dtype, tensor.data.data() + row * row_bytes, parameter.value.data() + row * cols,
                              cols);
    parameter.decays = rows > 1;
    models::Replacement replacement{parameter.name, tensor::DType::kF32,
                                    reinterpret_cast<const std::byte*>(parameter.value.data())};
    if (options.bfloat16 && rows > 1) {
      parameter.bfloat16.resize(parameter.value.size());
      replacement.dtype = tensor::DType::kBF16;
      replacement.data = reinterpret_cast<const std::byte*>(parameter.bfloat16.data());
      for (int64_t row = 0; row < rows; ++row)
        kernels::quantize_row(tensor::DType::kBF16, parameter.value.data() + row * cols,
                              reinterpret_cast<std::byte*>(parameter.bfloat16.data() + row * cols), cols);
    }
    student->training_.gradients[replacement.data] = parameter.gradient.data();
    replacements.push_back(replacement);
  }
  RETORT_TRY(student->model_, models::load_model(file, replacements));
  file.leave_memory();  // all but frozen layers has been copied
  return student;
}

std::vector<OptimizerParameter> Student::parameters() {
  std::vector<OptimizerParameter> all;
  for (const auto& p : parameters_) all.push_back({p->name, p->value, p->gradient, p->bfloat16, p->decays});
  return all;
}

int64_t Student::num_parameters() const {
  int64_t sum = 0;
  for (const auto& p : parameters_) sum += static_cast<int64_t>(p->value.size());
  return sum;
}

int64_t Student::num_frozen_layers() const {
  int64_t frozen = model_->hyperparameters().num_layers;
  for (const auto& p : parameters_) {
    bool above = p->name.starts_with("output");  // the head and the norm before it
    if (!above) frozen = std::min(frozen, std::max<int64_t>(0, layer_of(p->name)));
  }
  return frozen;
}

formats::Adapter Student::adapter() const {
  formats::Adapter adapter;
  adapter.base = formats::base_identity(*file_);
  adapter.alpha = static_cast<float>(alpha_);
  for (const Factors& factors : factors_) {
    const Parameter &a = *parameters_[factors.a], &b = *parameters_[factors.b];
    adapter.factors.push_back(
        {factors.target, a.cols, b.rows, a.rows, {a.value.begin(), a.value.end()}, {b.value.begin(), b.value.end()}});
  }
  return adapter;
}

base::Status Student::write_model(const std::string& path, tensor::DType dtype) const {
  formats::GgufWriter writer;
  for (const formats::GgufMetadataEntry& entry : file_->metadata()) writer.copy(entry);
  auto trained = [&](std::string_view name) -> const Parameter* {
    for (const auto& p : parameters_)
      if (p->name == name) return p.get();
    return nullptr;
  };
  for (const formats::GgufTensor& tensor : file_->tensors()) {
    const Parameter* parameter = trained(tensor.name);
    writer.add_tensor(tensor.name,
                      parameter == nullptr  ? tensor.dtype
                      : parameter->rows > 1 ? dtype
                                            : tensor::DType::kF32,
                      std::span(tensor.dims, static_cast<size_t>(tensor.num_dims)));
  }
  RETORT_TRY_STATUS(writer.begin(path));
  for (const formats::GgufTensor& tensor : file_->tensors()) {
    const Parameter* parameter = trained(tensor.name);
    if (parameter == nullptr) {
      RETORT_TRY_STATUS(writer.write(tensor.data));
      continue;
    }
    tensor::DType stored = parameter->rows > 1 ? dtype : tensor::DType::kF32;
    std::vector<std::byte> row(static_cast<size_t>(tensor::row_bytes(stored, parameter->cols)));
    for (int64_t i = 0; i < parameter->rows; ++i) {
      kernels::quantize_row(stored, parameter->value.data() + i * parameter->cols, row.data(), parameter->cols);
      RETORT_TRY_STATUS(writer.write(row));
    }
  }
  return writer.finish();
}

}  // namespace retort::training
