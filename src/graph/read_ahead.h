// ReadAhead: which weights each thread will read next, learned from the pass before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace retort::graph {

/// A decoded token reads every weight once, always in the same order, and memory is what it waits for. Between two
/// products small operations leave all threads but one without work: that is when they can fetch the beginning of what
/// they will read next (ThreadPool::read_ahead). This remembers the order. Not thread-safe.
class ReadAhead {
 public:
  /// Weights that one thread reads in one stream; a hint, never followed blindly: it may be out of date.
  struct Stream {
    const std::byte* begin = nullptr;
    int64_t bytes = 0;
  };

  /// A new pass begins.
  void restart() { at_ = 0; }

  /// The next product of the pass reads `streams`, one for each thread. Returns those of the product that followed it
  /// last time (the first of a pass follows the last); empty when that is not known.
  std::span<const Stream> advance(std::span<const Stream> streams);

 private:
  int64_t num_threads_ = 0;
  size_t at_ = 0;                 // products of this pass so far
  std::vector<Stream> products_;  // num_threads_ for each product
};

}  // namespace retort::graph
