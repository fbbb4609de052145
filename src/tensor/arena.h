// Arena: reusable memory for activations. Buffers come and go many times per token without touching the system's
// allocator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace retort::tensor {

/// A best-fit allocator with coalescing over large anonymous mappings. After a forward pass has run once, the same
/// pass allocates nothing from the system. Blocks are 64-byte aligned and hold whatever was there before. Not
/// thread-safe.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// A block of at least `bytes`; never null (the process ends when the system has no memory left).
  void* allocate(int64_t bytes);
  /// Gives a block back; `bytes` as it was allocated.
  void release(void* block, int64_t bytes);

  /// Returns to the system every region in which nothing is allocated.
  void trim();

  /// Bytes mapped from the system, and bytes in use.
  int64_t mapped_bytes() const { return mapped_bytes_; }
  int64_t used_bytes() const { return used_bytes_; }

 private:
  struct Range {
    std::byte* begin;
    int64_t bytes;
  };
  void add_region(int64_t bytes);

  std::vector<Range> regions_;
  std::vector<Range> free_;  // by address, never touching each other within a region
  int64_t mapped_bytes_ = 0, used_bytes_ = 0;
};

}  // namespace retort::tensor
