#include "runtime/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "kernels/quantize.h"
#include "runtime/requantize.h"

namespace retort::runtime {
namespace {

using tensor::DType;

/// One adapter's change to one matrix.
struct Delta {
  const formats::AdapterFactors* factors;
  float scale;
};
using Deltas = std::map<std::string, std::vector<Delta>, std::less<>>;  // by the tensor's name

Deltas collect(std::span<const MergeInput> inputs) {
  Deltas deltas;
  for (const MergeInput& input : inputs)
    for (const formats::AdapterFactors& factors : input.adapter.factors)
      deltas[factors.target + ".weight"].push_back(
          {&factors, input.scale * input.adapter.alpha / static_cast<float>(factors.rank)});
  return deltas;
}

/// values[i] += scale * (B A)[begin + i], all of it row-major, row by row.
void add(const Delta& delta, int64_t begin, std::span<float> values) {
  constexpr int64_t kColumns = 512;  // of a row at a time: sums that stay in the first-level cache
  const formats::AdapterFactors& f = *delta.factors;
  const auto count = static_cast<int64_t>(values.size());
  float sums[kColumns];
  for (int64_t i = 0; i < count;) {
    int64_t row = (begin + i) / f.in_features, column = (begin + i) % f.in_features;
    int64_t n = std::min({kColumns, f.in_features - column, count - i});
    std::fill_n(sums, n, 0.0f);
    for (int64_t k = 0; k < f.rank; ++k) {
      const float b = f.b[static_cast<size_t>(row * f.rank + k)];
      const float* a = f.a.data() + k * f.in_features + column;
      for (int64_t c = 0; c < n; ++c) sums[c] += b * a[c];
    }
    for (int64_t c = 0; c < n; ++c) values[static_cast<size_t>(i + c)] += delta.scale * sums[c];
    i += n;
  }
}

base::Status check_inputs(const formats::GgufFile& base, std::span<const MergeInput> inputs, const std::string& out) {
  RETORT_TRY_STATUS(refuse_input_as_output(base, out));
  for (const MergeInput& input : inputs) {
    std::error_code ignored;
    if (std::filesystem::equivalent(input.path, out, ignored))
      return base::fail(fmt::format("{}: is an adapter to merge: give the output another name", out));
    RETORT_TRY_STATUS(formats::check_fits(input.adapter, base, input.path));
  }
  return {};
}

}  // namespace

base::Result<MergeResult> merge(const formats::GgufFile& base, std::span<const MergeInput> inputs,
                                const std::string& out, const MergeOptions& options) {
  RETORT_TRY_STATUS(check_inputs(base, inputs, out));
  if (options.dtype && !kernels::can_quantize(*options.dtype))
    return base::fail(fmt::format("cannot write {}: it can only be read; known are {}",
                                  tensor::info(*options.dtype).name, requantize_types()));
  const Deltas deltas = collect(inputs);
  auto type_of = [&](const formats::GgufTensor& tensor) {
    return options.dtype ? stored_type(base, tensor, {.dtype = *options.dtype}) : tensor.dtype;
  };

  formats::GgufWriter writer;
  for (const formats::GgufMetadataEntry& entry : base.metadata())
    if (!entry.key.starts_with("split.")) writer.copy(entry);
  if (options.dtype) {
    writer.set("general.quantization_version", uint32_t{2});
    writer.set("general.file_type", file_type(*options.dtype));
  }
  uint64_t total = 0;
  MergeResult result;
  for (const formats::GgufTensor& tensor : base.tensors()) {
    DType dtype = type_of(tensor);
    if (deltas.contains(tensor.name)) {
      ++result.merged_tensors;
      if (!kernels::can_quantize(dtype))
        return base::fail(fmt::format("{}: {} is stored as {}, which can only be read: give a type to write, one of {}",
                                      base.path(), tensor.name, tensor::info(dtype).name, requantize_types()));
    }
    writer.add_tensor(tensor.name, dtype, std::span(tensor.dims, static_cast<size_t>(tensor.num_dims)));
    total += static_cast<uint64_t>(tensor::row_bytes(dtype, tensor.num_elements()));
  }
  RETORT_TRY_STATUS(writer.begin(out));
  TensorConverter converter(writer, options.conversion, total);
  for (const formats::GgufTensor& tensor : base.tensors()) {
    auto found = deltas.find(tensor.name);
    auto change = [&](int64_t begin, std::span<float> values) {
      for (const Delta& delta : found->second) add(delta, begin, values);
    };
    TensorConverter::Change changed(change);
    RETORT_TRY_STATUS(converter.convert(tensor, type_of(tensor), found == deltas.end() ? nullptr : &changed));
  }
  RETORT_TRY_STATUS(writer.finish());
  result.bytes = writer.file_bytes();
  return result;
}

}  // namespace retort::runtime
