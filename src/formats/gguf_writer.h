// GgufWriter: writes GGUF version 3 files (formats/gguf.h), streamed to disk and renamed into place when complete.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"
#include "formats/gguf.h"
#include "tensor/dtype.h"

namespace retort::formats {

/// The GGUF type in which a C++ number or bool is stored.
template <class T>
requires std::integral<T> || std::floating_point<T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::same_as<T, bool>) return GgufType::kBool;
  if constexpr (std::floating_point<T>) return sizeof(T) == 4 ? GgufType::kFloat32 : GgufType::kFloat64;
  constexpr GgufType kSigned[] = {GgufType::kInt8, GgufType::kInt16, GgufType::kInt32, GgufType::kInt64};
  constexpr GgufType kUnsigned[] = {GgufType::kUint8, GgufType::kUint16, GgufType::kUint32, GgufType::kUint64};
  constexpr size_t kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return std::signed_integral<T> ? kSigned[kLog] : kUnsigned[kLog];
}

/// Used in two phases. First describe the file: metadata in the order it is set, tensors in the order they are added;
/// then begin() writes the header and write() the tensors' data in the same order, in pieces of any size, so that no
/// more than a piece need be in memory; finish() makes the file appear. A writer that is destroyed before that leaves
/// nothing behind. Writes one file; not thread-safe.
///
/// What is written is what a GgufFile reads, with these limits stated as RETORT_CHECKs: names are not empty, 1 to 4
/// positive dimensions, rows of whole blocks, and exactly as many bytes as were described.
class GgufWriter {
 public:
  /// Sets a metadata value. A key that is set again keeps its place and gets the new type and value.
  template <class T>
  requires std::integral<T> || std::floating_point<T>
  void set(std::string_view key, T value) { put(key, gguf_type_of<T>(), std::as_bytes(std::span(&value, 1))); }
  void set(std::string_view key, std::string_view text);
  void set(std::string_view key, const char* text) { set(key, std::string_view(text)); }

  /// Sets an array of numbers or bools.
  template <class T>
  requires std::integral<T> || std::floating_point<T>
  void set_array(std::string_view key, std::span<const T> values) {
    put_array(key, gguf_type_of<T>(), values.size(), std::as_bytes(values));
  }
  void set_array(std::string_view key, std::span<const std::string_view> texts);

  /// Sets what another file has under the entry's key, with the type it has there.
  void copy(const GgufMetadataEntry& entry);

  /// Every tensor's data begins at a multiple of this power of two (8 to 2^20), from now on said in general.alignment.
  /// 32, unless this is called or general.alignment is copied.
  void set_alignment(uint32_t alignment);

  /// Describes the next tensor; dims[0] is the length of a row.
  void add_tensor(std::string_view name, tensor::DType dtype, std::span<const int64_t> dims);

  /// Bytes the finished file will have.
  uint64_t file_bytes() const;

  /// Starts the file at `path`, replacing what is there when finish() succeeds. Fails when a tensor's name was added
  /// twice or the file cannot be created.
  base::Status begin(const std::string& path);

  /// The next bytes of tensor data. They may end within a tensor but not reach into the next: the space between
  /// tensors is the writer's.
  base::Status write(std::span<const std::byte> bytes);

  /// Makes the file durable and gives it its name. RETORT_CHECKs that all tensor data was written.
  base::Status finish();

 private:
  struct Entry {
    std::string key, value;  // value: its type's id and its bytes
  };
  struct Described {
    std::string name;
    tensor::DType dtype;
    std::vector<int64_t> dims;
    uint64_t offset, bytes;
  };
  void put(std::string_view key, GgufType type, std::span<const std::byte> bytes);
  void put_array(std::string_view key, GgufType type, uint64_t size, std::span<const std::byte> bytes);
  uint64_t padding(uint64_t position) const { return (alignment_ - position % alignment_) % alignment_; }
  uint64_t data_bytes() const;
  std::string header() const;
  base::Status pad();

  std::vector<Entry> metadata_;
  std::vector<Described> tensors_;
  uint32_t alignment_ = 32;
  std::optional<base::AtomicFile> file_;
  size_t current_ = 0;    // the tensor being written
  uint64_t written_ = 0;  // how much of it is
};

}  // namespace retort::formats
