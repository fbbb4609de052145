// MappedFile: a whole file as read-only memory, shared with the page cache, so that opening a model copies nothing.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace retort::base {

/// Owns one read-only mapping. Movable; the bytes stay valid and at the same address until it is destroyed.
/// Thread-safe to read. The file must not be truncated while mapped: the operating system would raise SIGBUS.
class MappedFile {
 public:
  /// Maps `path`. Fails with the path and the system's reason when it is missing, unreadable or not a regular file.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Takes what has been read out of this process's resident set. It comes back, from the page cache, when it is read.
  void leave_memory() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

}  // namespace retort::base
