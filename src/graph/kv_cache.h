// KvCache: the keys and values of one sequence, for every layer, so that each token is computed once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "kernels/kernels.h"

namespace retort::graph {

/// What a model needs kept for one position.
struct KvShape {
  int num_layers = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
};

/// Memory for `capacity` positions, reserved at once and taken from the system page by page as positions are filled.
/// Layout: layer, then kv head, then position, so that a head's keys are one stream. Owned by one sequence; not
/// thread-safe between forward passes.
class KvCache {
 public:
  /// Fails when the address space cannot be reserved; the message gives the size.
  static base::Result<KvCache> create(const KvShape& shape, int64_t capacity, kernels::KvType type);

  KvCache(KvCache&& other) noexcept;
  KvCache& operator=(KvCache&& other) noexcept;
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;
  ~KvCache();

  /// Positions filled so far: the position of the next token.
  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  kernels::KvType type() const { return type_; }
  const KvShape& shape() const { return shape_; }

  /// Counts positions as filled, after a forward pass has written them.
  void advance(int64_t num_positions);
  /// Forgets every position from `length` on.
  void truncate(int64_t length);
  /// Makes this cache hold the first `length` positions of `other`, which has the same shape and type.
  void copy_prefix(const KvCache& other, int64_t length);

  /// Key (or value) of kv head h of `layer` at position p: keys(layer) + h * head_stride() + p * position_stride().
  std::byte* keys(int layer) { return data_ + 2 * layer * layer_bytes(); }
  std::byte* values(int layer) { return data_ + (2 * layer + 1) * layer_bytes(); }
  int64_t head_stride() const { return capacity_ * row_bytes_; }  // bytes
  int64_t position_stride() const { return row_bytes_; }          // bytes

  /// Bytes that one filled position takes over all layers.
  int64_t bytes_per_position() const { return 2 * shape_.num_layers * shape_.num_kv_heads * row_bytes_; }

 private:
  KvCache() = default;
  int64_t layer_bytes() const { return shape_.num_kv_heads * head_stride(); }

  KvShape shape_;
  kernels::KvType type_ = kernels::KvType::kF16;
  int64_t capacity_ = 0, length_ = 0, row_bytes_ = 0, total_bytes_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace retort::graph
