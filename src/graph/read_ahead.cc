#include "graph/read_ahead.h"

#include <algorithm>

namespace retort::graph {

std::span<const ReadAhead::Stream> ReadAhead::advance(std::span<const Stream> streams) {
  const size_t n = streams.size();
  if (static_cast<int64_t>(n) != num_threads_) {
    num_threads_ = static_cast<int64_t>(n);
    at_ = 0;
    products_.clear();
  }
  const size_t begin = at_ * n;
  ++at_;
  bool known = begin < products_.size() && products_[begin].begin == streams[0].begin;
  if (!known) {
    products_.resize(std::min(begin, products_.size()));
    products_.insert(products_.end(), streams.begin(), streams.end());
    return {};
  }
  size_t next = begin + n < products_.size() ? begin + n : 0;
  return {&products_[next], n};
}

}  // namespace retort::graph
