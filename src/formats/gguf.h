// GGUF: the single-file model container of llama.cpp, versions 2 and 3, little-endian; read here, written in
// gguf_writer.h. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace retort::formats {

/// Metadata value types, with their ids in the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

/// An array value that stays in the file: nothing is copied. Lives as long as its GgufFile.
class GgufArray {
 public:
  GgufType element_type() const { return type_; }
  uint64_t size() const { return size_; }

  /// Elements of a numeric or bool array, converted; RETORT_CHECKs that index < size() and the type is numeric.
  double number(uint64_t index) const;
  int64_t integer(uint64_t index) const;

  /// All elements of a string array, as views into the file, in one pass. RETORT_CHECKs the element type.
  std::vector<std::string_view> strings() const;

  /// The raw little-endian bytes of a numeric array (unaligned), or of a string array (u64 length + bytes each).
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  friend class GgufParser;
  GgufType type_ = GgufType::kUint8;
  uint64_t size_ = 0;
  std::span<const std::byte> bytes_;
};

/// One metadata value: integers widened to 64 bits, floats to double, strings as views into the file.
struct GgufValue {
  GgufType type = GgufType::kUint8;
  std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray> value;
};

struct GgufMetadataEntry {
  std::string_view key;
  GgufValue value;
};

/// One tensor: `dims[0]` is the length of a row (the fastest dimension), as in the file; unused dims are 1.
struct GgufTensor {
  std::string_view name;
  tensor::DType dtype = tensor::DType::kF32;
  int num_dims = 0;
  int64_t dims[4] = {1, 1, 1, 1};
  std::span<const std::byte> data;  // empty for a vocabulary-only file

  int64_t num_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
};

/// A model file (or all parts of a split one), mapped and validated: every length, offset, type and alignment has been
/// checked against the file's size before open() returns, so readers need no checks of their own. Immutable and
/// thread-safe; views into it live as long as it does. Opening does not touch the tensor data.
class GgufFile {
 public:
  /// Opens `path`; for the first part of a split file (`-00001-of-0000N.gguf`) the others, which must lie beside it.
  /// Fails with a message naming the field, what was expected and what came.
  static base::Result<GgufFile> open(const std::string& path);

  /// Parses a file held in memory, which must outlive the result; `name` stands in for the path in messages.
  static base::Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& name);

  const std::string& path() const { return path_; }
  /// The files it is mapped from, the first part first; none when it was parsed from memory.
  std::vector<std::string> part_paths() const;
  /// As base::MappedFile::leave_memory(), for when the weights have been read for the last time.
  void leave_memory() const;
  uint32_t version() const { return version_; }
  /// Bytes of all parts together.
  uint64_t file_bytes() const { return file_bytes_; }

  std::span<const GgufMetadataEntry> metadata() const { return metadata_; }
  std::span<const GgufTensor> tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // null when absent
  const GgufValue* find(std::string_view key) const;           // null when absent

  /// The value under `key`: nothing when absent, an error naming key and type when it is of another kind.
  /// Integers accept every integer type whose value fits; real accepts integers too.
  base::Result<std::optional<int64_t>> integer(std::string_view key) const;
  base::Result<std::optional<double>> real(std::string_view key) const;
  base::Result<std::optional<bool>> boolean(std::string_view key) const;
  base::Result<std::optional<std::string_view>> string(std::string_view key) const;
  base::Result<const GgufArray*> array(std::string_view key) const;  // null when absent

 private:
  friend class GgufParser;
  std::string path_;
  uint32_t version_ = 0;
  uint64_t file_bytes_ = 0;
  std::vector<GgufMetadataEntry> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> metadata_order_, tensor_order_;  // indices sorted by name, for find
  std::vector<base::MappedFile> parts_;
};

}  // namespace retort::formats
