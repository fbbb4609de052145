// TensorConverter: writes the tensors of a model file in other types, piece by piece, for `quantize` and `merge`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "tensor/dtype.h"

namespace retort::runtime {

struct ConversionOptions {
  int num_threads = 0;                                                  // 0: one per processor
  const std::atomic<bool>* cancelled = nullptr;                         // looked at several times a second
  std::function<void(uint64_t done, uint64_t total)> on_progress = {};  // bytes of tensor data written
};

/// Needs a few MiB, whatever the tensors' size. Not thread-safe.
class TensorConverter {
 public:
  /// Changes the elements of a tensor from element `begin` on; called from several threads at once.
  using Change = base::FunctionRef<void(int64_t begin, std::span<float> values)>;

  /// `writer` has begun; `total` is what on_progress is told.
  TensorConverter(formats::GgufWriter& writer, const ConversionOptions& options, uint64_t total);

  /// Writes the next tensor as `dtype`, changed when there is a `change`; copied when there is nothing to convert.
  /// RETORT_CHECKs that the type can be written.
  base::Status convert(const formats::GgufTensor& tensor, tensor::DType dtype, const Change* change = nullptr);

 private:
  void convert_chunk(const formats::GgufTensor& tensor, tensor::DType dtype, const Change* change, int64_t first,
                     int64_t count);

  formats::GgufWriter& writer_;
  const ConversionOptions& options_;
  uint64_t done_ = 0, total_;
  base::ThreadPool pool_;
  std::vector<float> floats_;  // a piece for each thread
  std::vector<std::byte> chunk_;
};

/// llama.cpp's number for a file whose matrices are mostly of this type (enum llama_ftype, key general.file_type).
uint32_t file_type(tensor::DType dtype);

/// Fails when `out` is (a part of) the file.
base::Status refuse_input_as_output(const formats::GgufFile& file, const std::string& out);

}  // namespace retort::runtime
