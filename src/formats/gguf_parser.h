// GgufParser: turns the bytes of one GGUF file into a GgufFile, checking every length before it is believed.
#pragma once

#include <span>
#include <string>

#include "formats/gguf.h"

namespace retort::formats {

/// Reads one file's bytes once; not reusable. `name` begins every message.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  base::Result<GgufFile> parse();

  /// Appends the tensors of a further part of a split file.
  static void append_part(GgufFile& whole, GgufFile part);
  /// Sorts the look-up tables; fails on names that occur twice.
  static base::Status index(GgufFile& file);
  static void adopt(GgufFile& file, base::MappedFile mapping) { file.parts_.push_back(std::move(mapping)); }

 private:
  size_t left() const { return bytes_.size() - at_; }
  tl::unexpected<base::Error> fault(const std::string& field, const std::string& problem) const;
  template <class T>
  base::Result<T> read(const std::string& field);
  base::Result<std::string_view> read_string(const std::string& field);
  base::Result<GgufValue> read_value(const std::string& field, GgufType type);
  base::Result<GgufArray> read_array(const std::string& field);
  base::Status read_metadata(GgufFile& file, uint64_t count);
  base::Status read_tensors(GgufFile& file, uint64_t count);
  base::Status place_tensors(GgufFile& file, const std::vector<uint64_t>& offsets);

  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
  std::vector<uint64_t> offsets_;
};

}  // namespace retort::formats
