#include "cli/interrupt.h"

#include <csignal>

namespace retort::cli {
namespace {

std::atomic<bool> interrupted_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // may be set from a signal handler

void on_signal(int signal) {
  interrupted_flag = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupted_flag = false;
  interrupt_before_ = std::signal(SIGINT, on_signal);
  terminate_before_ = std::signal(SIGTERM, on_signal);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, interrupt_before_);
  std::signal(SIGTERM, terminate_before_);
}

const std::atomic<bool>& InterruptGuard::flag() const {
  return interrupted_flag;
}

}  // namespace retort::cli
