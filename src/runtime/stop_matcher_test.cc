// Stop strings: whatever the pieces a text comes in, what gets out is the text up to the first stop, at the earliest
// time.
#include "runtime/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"

using retort::runtime::StopMatcher;

namespace {

/// Independent definition: the text before the stop that ends first (of those, the longest), or all of it.
std::string expected(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (!stop.empty() && std::string_view(text).substr(0, end).ends_with(stop))
        longest = std::max(longest, stop.size());
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

/// Feeds `text` in pieces, cut after byte i where bit i of `cuts` is set. At every moment, what came out must be a
/// prefix of the expected text.
void check(const std::string& text, const std::vector<std::string>& stops, uint64_t cuts) {
  std::string want = expected(text, stops), out, piece;
  StopMatcher matcher(stops);
  for (size_t i = 0; i < text.size(); ++i) {
    piece += text[i];
    if (((cuts >> i) & 1) == 0 && i + 1 < text.size()) continue;
    out += matcher.push(piece);
    piece.clear();
    ASSERT_EQ(out, want.substr(0, out.size())) << "leaked, cuts " << cuts << " of \"" << text << "\"";
  }
  out += matcher.finish();
  ASSERT_EQ(out, want) << "cuts " << cuts << " of \"" << text << "\"";
  ASSERT_EQ(matcher.stopped(), want != text);
}

}  // namespace

TEST(StopMatcher, EverySplitOfATextGivesTheSame) {
  const std::vector<std::vector<std::string>> sets = {
      {"END"}, {"aab"}, {"abab", "bb"}, {"\n\n"}, {"E", "END"}, {"aaa", "a\n"}, {"ND", "END", "xEN"}, {""}, {}};
  const std::vector<std::string> texts = {"xxENENDyy", "aaaaab", "ababab", "a\n\n\nb", "abbEND", "ENxEND", "E", ""};
  for (const auto& stops : sets)
    for (const std::string& text : texts)
      for (uint64_t cuts = 0; cuts < (uint64_t{1} << text.size()); ++cuts) check(text, stops, cuts);
}

TEST(StopMatcher, RandomTextsOverASmallAlphabet) {
  retort::base::Random random(3);
  auto word = [&](uint64_t longest) {
    std::string out;
    for (uint64_t i = random.below(longest + 1); i > 0; --i) out += static_cast<char>('a' + random.below(2));
    return out;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (uint64_t i = random.below(4); i > 0; --i) stops.push_back(word(6));
    check(word(40), stops, random.bits());
    if (HasFatalFailure()) return;
  }
}

TEST(StopMatcher, HoldsBackNoMoreThanItMust) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("go S"), "go ");
  EXPECT_EQ(matcher.push("T"), "");
  EXPECT_EQ(matcher.push("xS"), "STx");
  EXPECT_EQ(matcher.push("TOP and more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.push("after"), "");
  EXPECT_EQ(matcher.finish(), "");
}
