// Huge pages: their size, and HugeVector, a std::vector whose memory, where it is large, lies in them.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace retort::base {

/// Bytes of a huge page on x86-64 and, with pages of 4 KiB, on 64-bit ARM.
constexpr size_t kHugePage = size_t{2} << 20;

/// Allocates from 4 MiB on whole huge pages, and asks the system to use them: what is read and written from end to end,
/// as an optimizer's moments are, then costs a fraction of the address translations. Less than that comes from
/// new, 64-byte aligned.
template <class T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr size_t kLeast = 2 * kHugePage, kAlignment = 64;

  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}  // NOLINT(google-explicit-constructor): as allocators are

  T* allocate(size_t n) {
    size_t bytes = n * sizeof(T);
    if (bytes < kLeast) return static_cast<T*>(::operator new (bytes, std::align_val_t{kAlignment}));
    bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = std::aligned_alloc(kHugePage, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    ::madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t n) {
    if (n * sizeof(T) < kLeast)
      ::operator delete (memory, std::align_val_t{kAlignment});
    else
      std::free(memory);
  }
  template <class U>
  bool operator==(const HugePageAllocator<U>&) const {
    return true;
  }
};

template <class T>
using HugeVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace retort::base
