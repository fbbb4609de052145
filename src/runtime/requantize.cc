#include "runtime/requantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/thread_pool.h"
#include "formats/gguf_writer.h"
#include "kernels/dequantize.h"
#include "kernels/quantize.h"

namespace retort::runtime {
namespace {

using tensor::DType;

constexpr int64_t kPiece = 16384;         // elements that a thread converts at once; whole blocks of every type
constexpr int64_t kChunk = kPiece * 256;  // elements converted between two writes

/// llama.cpp's number for a file whose matrices are mostly of this type (enum llama_ftype).
uint32_t file_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 11;
    case DType::kQ4_K:
      return 14;
    case DType::kQ5_K:
      return 16;
    case DType::kQ6_K:
      return 18;
    case DType::kIQ4_NL:
      return 25;
    case DType::kIQ4_XS:
      return 30;
    case DType::kBF16:
      return 32;
  }
  return 0;
}

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

base::Status refuse_input_as_output(const formats::GgufFile& file, const std::string& out) {
  for (const std::string& path : file.part_paths()) {
    std::error_code ignored;
    if (std::filesystem::equivalent(path, out, ignored))
      return base::fail(fmt::format("{}: is the input itself: give the output another name", out));
  }
  return {};
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

/// Converts tensor after tensor and writes them.
class Conversion {
 public:
  Conversion(formats::GgufWriter& writer, const RequantizeOptions& options, uint64_t total)
      : writer_(writer), options_(options), total_(total), pool_(options.num_threads) {
    floats_.resize(static_cast<size_t>(pool_.num_threads() * kPiece));
  }

  base::Status convert(const formats::GgufTensor& tensor, DType dtype) {
    const int64_t count = tensor.num_elements();
    for (int64_t begin = 0; begin < count; begin += kChunk) {
      if (options_.cancelled != nullptr && options_.cancelled->load())
        return base::fail("interrupted: nothing is written");
      int64_t n = std::min(kChunk, count - begin);
      const std::byte* source = tensor.data.data() + tensor::row_bytes(tensor.dtype, begin);
      auto bytes = static_cast<size_t>(tensor::row_bytes(dtype, n));
      std::span<const std::byte> converted(source, bytes);
      if (dtype != tensor.dtype) {
        chunk_.resize(bytes);
        requantize_chunk(tensor.dtype, source, dtype, n);
        converted = chunk_;
      }
      RETORT_TRY_STATUS(writer_.write(converted));
      done_ += bytes;
      if (options_.on_progress) options_.on_progress(done_, total_);
    }
    return {};
  }

 private:
  /// Rows are whole blocks of both types, so that a tensor is one long row as well.
  void requantize_chunk(DType from, const std::byte* source, DType to, int64_t n) {
    pool_.parallel_for(n, kPiece, [&](int64_t begin, int64_t end, int thread) {
      float* values = floats_.data() + thread * kPiece;
      kernels::dequantize_row(from, source + tensor::row_bytes(from, begin), values, end - begin);
      kernels::quantize_row(to, values, chunk_.data() + tensor::row_bytes(to, begin), end - begin);
    });
  }

  formats::GgufWriter& writer_;
  const RequantizeOptions& options_;
  uint64_t done_ = 0, total_;
  base::ThreadPool pool_;
  std::vector<float> floats_;  // (threads, kPiece)
  std::vector<std::byte> chunk_;
};

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
  Conversion conversion(writer, options, total);
  for (const formats::GgufTensor& tensor : file.tensors())
    RETORT_TRY_STATUS(conversion.convert(tensor, stored_type(file, tensor, options)));
  RETORT_TRY_STATUS(writer.finish());
  return RequantizeResult{writer.file_bytes(), static_cast<double>(total) * 8 / weights, explain(file, options)};
}

}  // namespace retort::runtime
