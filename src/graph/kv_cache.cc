#include "graph/kv_cache.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "base/check.h"

namespace retort::graph {

base::Result<KvCache> KvCache::create(const KvShape& shape, int64_t capacity, kernels::KvType type) {
  if (type == kernels::KvType::kQ8_0 && shape.head_dim % 32 != 0)
    return base::fail(fmt::format(
        "a q8_0 KV cache needs heads of a multiple of 32 numbers, this model's have {}: use f16", shape.head_dim));
  KvCache cache;
  cache.shape_ = shape;
  cache.type_ = type;
  cache.capacity_ = capacity;
  cache.row_bytes_ = kernels::kv_row_bytes(type, shape.head_dim);
  int64_t total = capacity * cache.bytes_per_position();
  void* memory = ::mmap(nullptr, static_cast<size_t>(total > 0 ? total : 1), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return base::fail(fmt::format("cannot reserve {} MiB for a KV cache of {} positions: choose a smaller context",
                                  total >> 20, capacity));
  cache.data_ = static_cast<std::byte*>(memory);
  cache.total_bytes_ = total > 0 ? total : 1;
  return cache;
}

KvCache::KvCache(KvCache&& other) noexcept {
  *this = std::move(other);
}

KvCache& KvCache::operator=(KvCache&& other) noexcept {
  std::swap(shape_, other.shape_);
  std::swap(type_, other.type_);
  std::swap(capacity_, other.capacity_);
  std::swap(length_, other.length_);
  std::swap(row_bytes_, other.row_bytes_);
  std::swap(total_bytes_, other.total_bytes_);
  std::swap(data_, other.data_);
  return *this;
}

KvCache::~KvCache() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(total_bytes_));
}

void KvCache::advance(int64_t num_positions) {
  length_ += num_positions;
  RETORT_CHECK(length_ <= capacity_);
}

void KvCache::truncate(int64_t length) {
  RETORT_CHECK(0 <= length);
  RETORT_CHECK(length <= length_);
  length_ = length;
}

void KvCache::copy_prefix(const KvCache& other, int64_t length) {
  RETORT_CHECK(length <= other.length_);
  RETORT_CHECK(length <= capacity_);
  RETORT_CHECK(row_bytes_ == other.row_bytes_);
  RETORT_CHECK(shape_.num_layers == other.shape_.num_layers);
  RETORT_CHECK(shape_.num_kv_heads == other.shape_.num_kv_heads);
  int64_t rows = 2 * shape_.num_layers * shape_.num_kv_heads;
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(data_ + row * head_stride(), other.data_ + row * other.head_stride(),
                static_cast<size_t>(length * row_bytes_));
  length_ = length;
}

}  // namespace retort::graph
