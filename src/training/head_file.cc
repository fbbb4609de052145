// Heads as GGUF files.
#include <fmt/format.h>

#include <cstring>

#include "formats/gguf_writer.h"
#include "training/head.h"

namespace retort::training {
namespace {

struct Part {
  const char* name;
  std::vector<float> Head::*values;
  int64_t rows;  // 0: one row; else as many rows as labels
};
constexpr Part kParts[] = {
    {"head.mean", &Head::mean, 0}, {"head.scale", &Head::scale, 0}, {"head.weight", &Head::weight, 1}};

}  // namespace

base::Status write_head(const Head& head, const std::string& path) {
  formats::GgufWriter writer;
  writer.set("general.architecture", std::string_view(head.base.architecture));
  writer.set("general.type", "classifier");
  writer.set("retort.base.shape", std::string_view(head.base.shape));
  writer.set("retort.base.tokenizer", std::string_view(head.base.tokenizer_hash));
  writer.set("retort.head.max_tokens", head.max_tokens);
  std::vector<std::string_view> labels(head.labels.begin(), head.labels.end());
  writer.set_array("retort.head.labels", std::span<const std::string_view>(labels));
  auto classes = static_cast<int64_t>(head.labels.size());
  for (const Part& part : kParts) {
    std::vector<int64_t> dims = {head.num_features};
    if (part.rows > 0) dims.push_back(classes);
    writer.add_tensor(part.name, tensor::DType::kF32, dims);
  }
  writer.add_tensor("head.bias", tensor::DType::kF32, std::vector<int64_t>{classes});
  RETORT_TRY_STATUS(writer.begin(path));
  for (const Part& part : kParts) RETORT_TRY_STATUS(writer.write(std::as_bytes(std::span(head.*part.values))));
  RETORT_TRY_STATUS(writer.write(std::as_bytes(std::span(head.bias))));
  return writer.finish();
}

base::Result<Head> read_head(const std::string& path) {
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  auto text = [&](std::string_view key) -> base::Result<std::string> {
    RETORT_TRY(std::optional<std::string_view> value, file.string(key));
    return std::string(value.value_or(""));
  };
  RETORT_TRY(std::string type, text("general.type"));
  if (type != "classifier")
    return base::fail(fmt::format(
        "{}: general.type is \"{}\", expected \"classifier\", as `retort tune --method head` writes it", path, type));
  Head head;
  RETORT_TRY(head.base.architecture, text("general.architecture"));
  RETORT_TRY(head.base.shape, text("retort.base.shape"));
  RETORT_TRY(head.base.tokenizer_hash, text("retort.base.tokenizer"));
  RETORT_TRY(std::optional<int64_t> max_tokens, file.integer("retort.head.max_tokens"));
  head.max_tokens = max_tokens.value_or(256);
  RETORT_TRY(const formats::GgufArray* labels, file.array("retort.head.labels"));
  if (labels != nullptr && labels->element_type() == formats::GgufType::kString)
    for (std::string_view label : labels->strings()) head.labels.emplace_back(label);
  const formats::GgufTensor* mean = file.find_tensor("head.mean");
  if (head.labels.size() < 2 || head.max_tokens < 1 || mean == nullptr)
    return base::fail(fmt::format("{}: labels or features are missing: not a classifier head", path));
  head.num_features = mean->dims[0];
  auto classes = static_cast<int64_t>(head.labels.size());
  auto read = [&](const char* name, int64_t rows, int64_t cols, std::vector<float>& out) -> base::Status {
    const formats::GgufTensor* tensor = file.find_tensor(name);
    auto bytes = static_cast<size_t>(rows * cols * 4);
    if (tensor == nullptr || tensor->dtype != tensor::DType::kF32 || tensor->data.size() != bytes)
      return base::fail(fmt::format("{}: tensor {} is missing or not F32 of ({}, {})", path, name, rows, cols));
    out.resize(bytes / 4);
    std::memcpy(out.data(), tensor->data.data(), bytes);
    return {};
  };
  for (const Part& part : kParts)
    RETORT_TRY_STATUS(read(part.name, part.rows > 0 ? classes : 1, head.num_features, head.*part.values));
  RETORT_TRY_STATUS(read("head.bias", 1, classes, head.bias));
  return head;
}

}  // namespace retort::training
