#include "tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"

namespace retort::tensor {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kRegionBytes = int64_t{64} << 20;  // pages count only once they are touched

int64_t rounded(int64_t bytes, int64_t unit) {
  return (std::max<int64_t>(bytes, 1) + unit - 1) / unit * unit;
}

}  // namespace

Arena::~Arena() {
  for (const Range& region : regions_) ::munmap(region.begin, static_cast<size_t>(region.bytes));
}

void Arena::add_region(int64_t bytes) {
  bytes = rounded(bytes, kRegionBytes);
  void* memory =
      ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  RETORT_CHECK(memory != MAP_FAILED);
  ::madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);  // where there are none, nothing changes
  Range region{static_cast<std::byte*>(memory), bytes};
  regions_.push_back(region);
  mapped_bytes_ += bytes;
  auto at = std::lower_bound(free_.begin(), free_.end(), region,
                             [](const Range& a, const Range& b) { return a.begin < b.begin; });
  free_.insert(at, region);
}

void* Arena::allocate(int64_t bytes) {
  bytes = rounded(bytes, kAlignment);
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->bytes >= bytes && (best == free_.end() || it->bytes < best->bytes)) best = it;
    if (best != free_.end()) {
      std::byte* block = best->begin;
      best->begin += bytes;
      best->bytes -= bytes;
      if (best->bytes == 0) free_.erase(best);
      used_bytes_ += bytes;
      return block;
    }
    add_region(bytes);
  }
  RETORT_CHECK(false);
  return nullptr;
}

void Arena::release(void* block, int64_t bytes) {
  bytes = rounded(bytes, kAlignment);
  used_bytes_ -= bytes;
  Range range{static_cast<std::byte*>(block), bytes};
  auto after = std::lower_bound(free_.begin(), free_.end(), range,
                                [](const Range& a, const Range& b) { return a.begin < b.begin; });
  // Two regions may lie side by side: a block must not grow across their border, or trim() could not return them.
  auto is_region_start = [this](const std::byte* at) {
    return std::any_of(regions_.begin(), regions_.end(), [at](const Range& region) { return region.begin == at; });
  };
  bool joins_before = after != free_.begin() && std::prev(after)->begin + std::prev(after)->bytes == range.begin &&
                      !is_region_start(range.begin);
  bool joins_after =
      after != free_.end() && range.begin + range.bytes == after->begin && !is_region_start(after->begin);
  if (joins_before && joins_after) {
    std::prev(after)->bytes += range.bytes + after->bytes;
    free_.erase(after);
  } else if (joins_before) {
    std::prev(after)->bytes += range.bytes;
  } else if (joins_after) {
    after->begin = range.begin;
    after->bytes += range.bytes;
  } else {
    free_.insert(after, range);
  }
}

void Arena::trim() {
  auto unused = [this](const Range& region) {
    auto same = std::find_if(free_.begin(), free_.end(), [&](const Range& range) {
      return range.begin == region.begin && range.bytes == region.bytes;
    });
    if (same == free_.end()) return false;
    free_.erase(same);
    ::munmap(region.begin, static_cast<size_t>(region.bytes));
    mapped_bytes_ -= region.bytes;
    return true;
  };
  regions_.erase(std::remove_if(regions_.begin(), regions_.end(), unused), regions_.end());
}

}  // namespace retort::tensor
