#include "tasks/rouge.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace retort::tasks {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> all;
  bool inside = false;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word && !inside) all.emplace_back();
    if (word) all.back() += c;
    inside = word;
  }
  return all;
}

double f1(int64_t shared, size_t reference, size_t answer) {
  return shared > 0 ? 2 * static_cast<double>(shared) / static_cast<double>(reference + answer) : 0;
}

/// Shared runs of n words, each counted as often as it occurs in both.
double overlap(const std::vector<std::string>& reference, const std::vector<std::string>& answer, size_t n) {
  if (reference.size() < n || answer.size() < n) return 0;
  using Run = std::vector<std::string>;
  std::map<Run, int64_t> counts;
  auto run = [n](const std::vector<std::string>& from, size_t at) {
    auto first = from.begin() + static_cast<std::ptrdiff_t>(at);
    return Run(first, first + static_cast<std::ptrdiff_t>(n));
  };
  for (size_t i = 0; i + n <= reference.size(); ++i) ++counts[run(reference, i)];
  int64_t shared = 0;
  for (size_t i = 0; i + n <= answer.size(); ++i) {
    auto found = counts.find(run(answer, i));
    if (found == counts.end() || found->second == 0) continue;
    --found->second;
    ++shared;
  }
  return f1(shared, reference.size() - n + 1, answer.size() - n + 1);
}

int64_t common_subsequence(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<int64_t> longest(b.size() + 1);  // of a's words so far and b's first j
  for (const std::string& word : a) {
    int64_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      int64_t above = longest[j + 1];
      longest[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, longest[j]);
      diagonal = above;
    }
  }
  return longest.back();
}

}  // namespace

Rouge rouge(std::string_view reference, std::string_view answer) {
  std::vector<std::string> expected = words(reference), got = words(answer);
  return {overlap(expected, got, 1), overlap(expected, got, 2),
          f1(common_subsequence(expected, got), expected.size(), got.size())};
}

}  // namespace retort::tasks
