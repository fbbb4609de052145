// AtomicFile: writes a file so that readers see the old content or the whole new content, never a part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace retort::base {

/// A file being written beside its final path. commit() makes it durable (fsync) and renames it into place; without a
/// commit the temporary file is removed on destruction. Movable; not thread-safe.
class AtomicFile {
 public:
  /// Creates a temporary file in the folder of `path`; that folder must exist.
  static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends all of `bytes`, through a buffer of 2 MiB; a full disk or any other failure, here or at commit(), names
  /// the final path.
  Status write(std::span<const std::byte> bytes);
  Status write(const std::string& text);

  /// Bytes given to write() so far.
  uint64_t size() const { return size_; }

  /// Flushes to disk and renames onto the final path. Nothing may be written afterwards.
  Status commit();

 private:
  AtomicFile(int fd, std::string path, std::string temporary);
  Status flush();

  int fd_ = -1;
  uint64_t size_ = 0;
  std::string path_, temporary_;
  std::vector<std::byte> pending_;
};

}  // namespace retort::base
