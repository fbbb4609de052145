// Ctrl-C as a flag instead of an end.
#pragma once

#include <atomic>

namespace retort::cli {

/// While one of these lives, the first Ctrl-C (or SIGTERM) sets the flag and a second one ends the program; afterwards
/// both do what they did before. Not nested.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const std::atomic<bool>& flag() const;
  bool interrupted() const { return flag().load(); }

 private:
  void (*interrupt_before_)(int);
  void (*terminate_before_)(int);
};

}  // namespace retort::cli
