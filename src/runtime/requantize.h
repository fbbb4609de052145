// Requantization: a GGUF model written again with its matrices stored in another type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "runtime/tensor_converter.h"
#include "tensor/dtype.h"

namespace retort::runtime {

struct RequantizeOptions {
  tensor::DType dtype = tensor::DType::kQ8_0;
  /// Stores every matrix as `dtype`. Otherwise the output head (the token embedding, where it serves as the head) gets
  /// at least Q6_K, as llama.cpp does: it is the matrix that suffers most.
  bool pure = false;
  ConversionOptions conversion = {};
};

struct RequantizeResult {
  uint64_t bytes = 0;              // of the new file
  double bits_per_weight = 0;      // over all tensors
  std::vector<std::string> notes;  // where and why a tensor got another type than asked for, one line each
};

/// The type in which `tensor` of `file` is stored when `options` are asked for:
/// - vectors are F32: norms, biases and RoPE factors are small and needed exactly;
/// - matrices that are no weights of a product (routers, position and type tables) keep their type;
/// - matrices get options.dtype, or the head's type as above; where a row is not a multiple of the block, the next
///   larger type with blocks of 32 (Q4_K: Q5_0, Q5_K: Q5_1, Q6_K: Q8_0) and, if that does not fit either, F16.
tensor::DType stored_type(const formats::GgufFile& file, const formats::GgufTensor& tensor,
                          const RequantizeOptions& options);

/// Writes `file` to `out` (atomically) with its tensors in the types that stored_type() gives, from whatever type they
/// have, and all its metadata but for general.file_type, general.quantization_version and the description of splits;
/// a split model becomes one file. Tensors that keep their type are copied. Memory: a few MiB besides the mapped input.
/// Fails when the type cannot be written, `out` is (a part of) the input, the file has no tensors, it cannot be written
/// or `cancelled` becomes true; nothing is left behind then.
base::Result<RequantizeResult> requantize(const formats::GgufFile& file, const std::string& out,
                                          const RequantizeOptions& options);

/// "F32, F16, Q4_0, ...": the types that can be asked for.
std::string requantize_types();

}  // namespace retort::runtime
