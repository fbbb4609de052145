// StopMatcher: ends a stream of text at the first of some strings, and never lets out the beginning of one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace retort::runtime {

/// Not thread-safe; one per generation. Works on bytes; empty stop strings are ignored.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);

  /// Adds text; returns what is now certain not to be part of a stop string. Once a stop string has been met (the one
  /// that ends first; of those, the longest), stopped() is true and nothing more comes out: neither it nor what follows
  /// it.
  std::string push(std::string_view text);
  /// What was held back, when the stream ends without a stop string.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper prefix of a stop string, or nothing
  bool stopped_ = false;
};

}  // namespace retort::runtime
