#include "runtime/tensor_converter.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "kernels/dequantize.h"
#include "kernels/quantize.h"

namespace retort::runtime {

using tensor::DType;

namespace {

constexpr int64_t kPiece = 16384;         // elements that a thread converts at once; whole blocks of every type
constexpr int64_t kChunk = kPiece * 256;  // elements converted between two writes

}  // namespace

TensorConverter::TensorConverter(formats::GgufWriter& writer, const ConversionOptions& options, uint64_t total)
    : writer_(writer), options_(options), total_(total), pool_(options.num_threads) {
  floats_.resize(static_cast<size_t>(pool_.num_threads() * kPiece));
}

base::Status TensorConverter::convert(const formats::GgufTensor& tensor, DType dtype, const Change* change) {
  const int64_t count = tensor.num_elements();
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    if (options_.cancelled != nullptr && options_.cancelled->load())
      return base::fail("interrupted: nothing is written");
    int64_t n = std::min(kChunk, count - begin);
    auto bytes = static_cast<size_t>(tensor::row_bytes(dtype, n));
    std::span<const std::byte> converted(tensor.data.data() + tensor::row_bytes(tensor.dtype, begin), bytes);
    if (dtype != tensor.dtype || change != nullptr) {
      chunk_.resize(bytes);
      convert_chunk(tensor, dtype, change, begin, n);
      converted = chunk_;
    }
    RETORT_TRY_STATUS(writer_.write(converted));
    done_ += bytes;
    if (options_.on_progress) options_.on_progress(done_, total_);
  }
  return {};
}

/// Rows are whole blocks of both types, so that a tensor is one long row as well.
void TensorConverter::convert_chunk(const formats::GgufTensor& tensor, DType dtype, const Change* change, int64_t first,
                                    int64_t count) {
  const std::byte* source = tensor.data.data() + tensor::row_bytes(tensor.dtype, first);
  pool_.parallel_for(count, kPiece, [&](int64_t begin, int64_t end, int thread) {
    std::span<float> values(floats_.data() + thread * kPiece, static_cast<size_t>(end - begin));
    kernels::dequantize_row(tensor.dtype, source + tensor::row_bytes(tensor.dtype, begin), values.data(), end - begin);
    if (change != nullptr) (*change)(first + begin, values);
    kernels::quantize_row(dtype, values.data(), chunk_.data() + tensor::row_bytes(dtype, begin), end - begin);
  });
}

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

base::Status refuse_input_as_output(const formats::GgufFile& file, const std::string& out) {
  for (const std::string& path : file.part_paths()) {
    std::error_code ignored;
    if (std::filesystem::equivalent(path, out, ignored))
      return base::fail(fmt::format("{}: is the input itself: give the output another name", out));
  }
  return {};
}

}  // namespace retort::runtime
