// RawGguf: GGUF bytes put together field by field, for tests that need files no writer would write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "formats/gguf.h"

namespace retort::formats {

/// Appends whatever it is told; nothing is checked.
class RawGguf {
 public:
  explicit RawGguf(uint64_t num_tensors, uint64_t num_metadata, uint32_t version = 3) {
    bytes_ = "GGUF";
    add(version).add(num_tensors).add(num_metadata);
  }

  template <class T>
  RawGguf& add(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RawGguf& text(std::string_view text) {
    add<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  RawGguf& key(std::string_view name, GgufType type) { return text(name).add(static_cast<uint32_t>(type)); }
  RawGguf& tensor(std::string_view name, std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
    text(name).add(static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims) add(dim);
    return add(type).add(offset);
  }
  /// Fills up to the next multiple of 32, then adds `count` zeros.
  RawGguf& data(size_t count) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + count);
    return *this;
  }

  const std::string& bytes() const { return bytes_; }

  /// The message of parsing these bytes as "test.gguf", or "" when they are fine.
  std::string error() const { return parse_error(bytes_); }

  static std::string parse_error(std::string_view bytes) {
    auto file = GgufFile::parse(std::as_bytes(std::span(bytes)), "test.gguf");
    return file ? "" : file.error().message;
  }

 private:
  std::string bytes_;
};

}  // namespace retort::formats
