// Safetensors: the container of named tensors that Hugging Face uses: 8 bytes of header length, a JSON header, data.
// Format: https://github.com/huggingface/safetensors
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace retort::formats {

/// One tensor; its data is row-major, little-endian and may lie at any address.
struct SafetensorsTensor {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;  // F32, F16 or BF16
  std::vector<int64_t> shape;                 // the last dimension is the fastest; empty for a single number
  std::span<const std::byte> data;

  int64_t num_elements() const;
  /// All elements, converted.
  std::vector<float> floats() const;
};

using SafetensorsMetadata = std::map<std::string, std::string>;

/// A file, mapped and validated: the tensors cover its data without gap or overlap, as the format demands. Immutable
/// and thread-safe; views into it live as long as it does.
class SafetensorsFile {
 public:
  /// Fails with a message naming the field, what was expected and what came. Types other than F32, F16 and BF16 are
  /// refused.
  static base::Result<SafetensorsFile> open(const std::string& path);

  /// Parses a file held in memory, which must outlive the result; `name` stands in for the path in messages.
  static base::Result<SafetensorsFile> parse(std::span<const std::byte> bytes, const std::string& name);

  /// In the order of their data.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  const SafetensorsTensor* find(std::string_view name) const;  // null when absent
  /// What is under "__metadata__".
  const SafetensorsMetadata& metadata() const { return metadata_; }

 private:
  std::vector<SafetensorsTensor> tensors_;
  SafetensorsMetadata metadata_;
  base::MappedFile mapping_;
};

/// Writes a file (atomically) with the tensors' data in the order given, the first at a multiple of 8 bytes. Fails when
/// a name occurs twice or the file cannot be written; RETORT_CHECKs that data and shapes agree.
base::Status write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                               const SafetensorsMetadata& metadata = {});

}  // namespace retort::formats
