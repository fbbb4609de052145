#include "runtime/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace retort::runtime {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  stops_.erase(std::remove(stops_.begin(), stops_.end(), std::string()), stops_.end());
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  std::string out;
  for (char c : text) {
    held_ += c;
    size_t longest = 0;
    for (const std::string& stop : stops_)
      if (held_.ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) {
      stopped_ = true;
      out.append(held_, 0, held_.size() - longest);
      held_.clear();
      return out;
    }
    // Keep the longest end of what is held that could still grow into a stop string.
    size_t keep = 0;
    for (const std::string& stop : stops_)
      for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length)
        if (std::string_view(held_).substr(held_.size() - length) == std::string_view(stop).substr(0, length))
          keep = length;
    out.append(held_, 0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
  }
  return out;
}

std::string StopMatcher::finish() {
  return stopped_ ? std::string() : std::exchange(held_, {});
}

}  // namespace retort::runtime
