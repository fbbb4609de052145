#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace retort::base {
namespace {

constexpr double kQuietSeconds = 2, kBarSeconds = 0.1, kLineSeconds = 5;

double seconds_between(Progress::Clock::time_point a, Progress::Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

std::string amount(double value, ProgressUnit unit) {
  if (unit == ProgressUnit::kItems) return fmt::format("{:.0f}", value);
  return value < 1e9 ? fmt::format("{:.1f} MB", value / 1e6) : fmt::format("{:.2f} GB", value / 1e9);
}

int terminal_width(std::FILE* out) {
  winsize size{};
  return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string label, ProgressUnit unit, std::string noun, std::FILE* out)
    : label_(std::move(label)),
      noun_(std::move(noun)),
      unit_(unit),
      out_(out),
      terminal_(isatty(fileno(out)) != 0),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (shown_ && terminal_) fmt::print(out_, "\n");
}

std::string Progress::line(uint64_t done, uint64_t total, uint64_t started, double seconds, int width) const {
  std::string noun = noun_.empty() ? "" : " " + noun_;
  double rate = seconds > 0 ? static_cast<double>(done - std::min(started, done)) / seconds : 0;
  std::string text = label_;
  if (total > 0)
    text += fmt::format("  {:3.0f}%  {} of {}{}", 100.0 * static_cast<double>(done) / static_cast<double>(total),
                        amount(static_cast<double>(done), unit_), amount(static_cast<double>(total), unit_), noun);
  else
    text += fmt::format("  {}{}", amount(static_cast<double>(done), unit_), noun);
  if (rate > 0)
    text += fmt::format("  {}/s", unit_ == ProgressUnit::kItems ? fmt::format("{:.1f}", rate) : amount(rate, unit_));
  if (rate > 0 && total > done) {
    auto left = static_cast<uint64_t>(static_cast<double>(total - done) / rate);
    text += fmt::format("  {}:{:02} left", left / 60, left % 60);
  }
  if (!note_.empty()) text += "  " + note_;
  int room = width - static_cast<int>(text.size()) - 4;
  if (total > 0 && room >= 10) {
    int cells = std::min(room, 40),
        full = static_cast<int>(static_cast<double>(cells) * static_cast<double>(done) / static_cast<double>(total));
    text +=
        "  [" + std::string(static_cast<size_t>(full), '#') + std::string(static_cast<size_t>(cells - full), '.') + "]";
  }
  return text;
}

void Progress::update(uint64_t done, uint64_t total) {
  Clock::time_point now = Clock::now();
  if (std::exchange(first_, false)) started_ = done;
  double elapsed = seconds_between(start_, now);
  if (elapsed < kQuietSeconds) return;
  bool finished = total > 0 && done >= total;
  double interval = terminal_ ? kBarSeconds : kLineSeconds;
  if (shown_ && !finished && seconds_between(last_, now) < interval) return;
  last_ = now;
  shown_ = true;
  if (terminal_)
    fmt::print(out_, "\r{}\x1b[K", line(done, total, started_, elapsed, terminal_width(out_)));
  else
    fmt::print(out_, "{}\n", line(done, total, started_, elapsed, 0));
  std::fflush(out_);
}

}  // namespace retort::base
