// Batch: the tokens of one forward pass, of one sequence or of many, and where each sequence keeps its keys and values.
#pragma once

#include <cstdint>
#include <span>

#include "graph/kv_cache.h"

namespace retort::graph {

/// A run of consecutive rows that belong to one sequence. Attention never crosses segments, but for the past: what lies
/// in their cache or, without caches, the beginning that several sequences share, which is the batch's first segment.
struct Segment {
  int64_t first_row = 0;
  int64_t num_rows = 0;
  int64_t first_position = 0;  // of first_row in its sequence; without a cache 0, or the first segment's number of rows
  KvCache* cache = nullptr;    // null when training
  bool kept = true;  // false: an alternative: its keys and values are overwritten by the next one's of the same cache
};

/// A view: what it points to must live through the forward pass. Segments cover the tokens in order, without gaps, the
/// alternatives last; no two that are kept share a cache. All of them have a cache or none has.
struct Batch {
  std::span<const int32_t> tokens;  // (tokens), each below the vocabulary size
  std::span<const Segment> segments;
  std::span<const int64_t> wanted;  // rows whose logits are wanted, increasing

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace retort::graph
