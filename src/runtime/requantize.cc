#include "runtime/requantize.h"

#include <fmt/format.h>

#include <map>

#include "formats/gguf_writer.h"
#include "kernels/quantize.h"

namespace retort::runtime {
namespace {

using tensor::DType;

bool is_head(const formats::GgufFile& file, std::string_view name) {
  return name == "output.weight" || (name == "token_embd.weight" && file.find_tensor("output.weight") == nullptr);
}

bool is_product_weight(std::string_view name) {
  if (!name.ends_with("weight")) return false;
  for (std::string_view kept : {"_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight"})
    if (name.ends_with(kept)) return false;
  return true;
}

DType fitting(DType dtype, int64_t row) {
  if (row % tensor::info(dtype).block_elements == 0) return dtype;
  DType smaller_blocks = DType::kQ8_0;
  if (dtype == DType::kQ4_K) smaller_blocks = DType::kQ5_0;
  if (dtype == DType::kQ5_K) smaller_blocks = DType::kQ5_1;
  return row % tensor::info(smaller_blocks).block_elements == 0 ? smaller_blocks : DType::kF16;
}

DType wanted_type(const formats::GgufFile& file, const formats::GgufTensor& tensor, const RequantizeOptions& options) {
  bool quantized = tensor::info(options.dtype).quantized;
  bool better = quantized && !options.pure && options.dtype != DType::kQ8_0 && is_head(file, tensor.name);
  return better ? DType::kQ6_K : options.dtype;
}

std::vector<std::string> explain(const formats::GgufFile& file, const RequantizeOptions& options) {
  std::map<std::pair<DType, DType>, int> fallbacks;
  std::vector<std::string> notes;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    if (tensor.num_dims < 2 || !is_product_weight(tensor.name)) continue;
    DType wanted = wanted_type(file, tensor, options), stored = stored_type(file, tensor, options);
    if (wanted != options.dtype)
      notes.push_back(fmt::format("{} is stored as {}: it is the output head", tensor.name, tensor::info(stored).name));
    else if (wanted != stored)
      ++fallbacks[{wanted, stored}];
  }
  for (const auto& [types, count] : fallbacks)
    notes.push_back(fmt::format("{} of {} tensors are stored as {}: their rows are not a multiple of {}, {}'s block",
                                count, file.tensors().size(), tensor::info(types.second).name,
                                tensor::info(types.first).block_elements, tensor::info(types.first).name));
  return notes;
}

}  // namespace

DType stored_type(const formats::GgufFile& file, const formats::GgufTensor& tensor, const RequantizeOptions& options) {
  if (tensor.num_dims < 2) return DType::kF32;
  if (!is_product_weight(tensor.name)) return tensor.dtype;
  return fitting(wanted_type(file, tensor, options), tensor.dims[0]);
}

std::string requantize_types() {
  std::string names;
  for (const tensor::DTypeInfo& info : tensor::kDTypes)
    if (kernels::can_quantize(info.dtype)) names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
  return names;
}

base::Result<RequantizeResult> requantize(const formats::GgufFile& file, const std::string& out,
                                          const RequantizeOptions& options) {
  if (!kernels::can_quantize(options.dtype))
    return base::fail(fmt::format("cannot quantize to {}: it can only be read; known are {}",
                                  tensor::info(options.dtype).name, requantize_types()));
  if (file.tensors().empty()) return base::fail(fmt::format("{}: holds a vocabulary but no tensors", file.path()));
  RETORT_TRY_STATUS(refuse_input_as_output(file, out));

  formats::GgufWriter writer;
  for (const formats::GgufMetadataEntry& entry : file.metadata())
    if (!entry.key.starts_with("split.")) writer.copy(entry);
  writer.set("general.quantization_version", uint32_t{2});
  writer.set("general.file_type", file_type(options.dtype));
  uint64_t total = 0;
  double weights = 0;
  for (const formats::GgufTensor& tensor : file.tensors()) {
    DType dtype = stored_type(file, tensor, options);
    writer.add_tensor(tensor.name, dtype, std::span(tensor.dims, static_cast<size_t>(tensor.num_dims)));
    total += static_cast<uint64_t>(tensor::row_bytes(dtype, tensor.num_elements()));
    weights += static_cast<double>(tensor.num_elements());
  }
  RETORT_TRY_STATUS(writer.begin(out));
  TensorConverter converter(writer, options.conversion, total);
  for (const formats::GgufTensor& tensor : file.tensors())
    RETORT_TRY_STATUS(converter.convert(tensor, stored_type(file, tensor, options)));
  RETORT_TRY_STATUS(writer.finish());
  return RequantizeResult{writer.file_bytes(), static_cast<double>(total) * 8 / weights, explain(file, options)};
}

}  // namespace retort::runtime
