// Progress: tells a person how far a long operation is: a bar with rate and time left on a terminal, plain lines
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace retort::base {

/// What the numbers count.
enum class ProgressUnit : uint8_t { kBytes, kItems };

/// Shows nothing for operations under two seconds. Not thread-safe.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// `out` is stderr but for tests; `label` names the operation, `noun` the items ("tokens").
  Progress(std::string label, ProgressUnit unit, std::string noun = "", std::FILE* out = stderr);
  /// Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `total` of 0: not known. May be called as often as one likes.
  void update(uint64_t done, uint64_t total);

  /// Text to show behind the figures from now on.
  void set_note(std::string note) { note_ = std::move(note); }

  /// The text for this state after `seconds`: "label  45%  44.1 of 98.4 MB  12.3 MB/s  0:04 left". Its rate does not
  /// count `started`, what was there before.
  std::string line(uint64_t done, uint64_t total, uint64_t started, double seconds, int width) const;

 private:
  std::string label_, noun_, note_;
  ProgressUnit unit_;
  std::FILE* out_;
  bool terminal_, shown_ = false, first_ = true;
  uint64_t started_ = 0;
  Clock::time_point start_, last_;
};

}  // namespace retort::base
