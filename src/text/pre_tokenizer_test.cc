// Splitting rules against Hugging Face's tokenizers (tools/make_pre_tokenizer_goldens.py). A case is data: the words of
// a string, which together are the string.
#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

using namespace retort;
using namespace retort::text;

namespace {

std::vector<std::string> split(const PreTokenizer& rules, const std::string& text) {
  std::vector<std::string_view> words;
  rules.split(text, words);
  return {words.begin(), words.end()};
}

}  // namespace

TEST(PreTokenizer, SplitsAsTheModelsTokenizersDo) {
  std::ifstream in(RETORT_SOURCE_DIR "/tests/golden/pre_tokenizer.json");
  auto goldens = nlohmann::json::parse(in);
  EXPECT_GE(goldens.size(), 7u);
  for (const auto& [name, cases] : goldens.items()) {
    auto rules = PreTokenizer::named(name);
    ASSERT_TRUE(rules) << rules.error().message;
    ASSERT_GE(cases.size(), 80u);
    for (const auto& entry : cases) {
      auto words = entry.get<std::vector<std::string>>();
      std::string text;
      for (const std::string& word : words) text += word;
      EXPECT_EQ(split(*rules, text), words) << name << ": " << entry.dump();
    }
  }
}

TEST(PreTokenizer, KeepsEveryByteUnderEveryRule) {
  // The message of an unknown name lists the known ones.
  auto unknown = PreTokenizer::named("nonsense");
  ASSERT_FALSE(unknown);
  std::string list = unknown.error().message;
  EXPECT_THAT(list, testing::HasSubstr("tokenizer.ggml.pre is \"nonsense\", known are "));
  list = list.substr(list.find("known are ") + 10);
  int known = 0;
  const std::string text = "It's  12345\tx\r\n\n  漢字 naïve! 😀<|end|> __init__(a=1)\u00a0ﬁ\u0301 ";
  for (size_t at = 0; at < list.size(); ++known) {
    size_t end = std::min(list.find(", ", at), list.size());
    auto rules = PreTokenizer::named(list.substr(at, end - at));
    ASSERT_TRUE(rules) << rules.error().message;
    std::string together;
    for (const std::string& word : split(*rules, text)) {
      EXPECT_FALSE(word.empty());
      together += word;
    }
    EXPECT_EQ(together, text) << list.substr(at, end - at);
    at = end + 2;
  }
  EXPECT_GE(known, 40);
}

TEST(PreTokenizer, KnowsCharactersThatAreNewerThanPcre2) {
  auto rules = PreTokenizer::named("qwen2");
  ASSERT_TRUE(rules);
  const std::vector<std::vector<std::string>> cases = {
      {"\U0002ebf0\U00031350", "'s"},     // letters
      {"\U0001e030x", "'s"},              // a modifier letter
      {"\U00011f50", "\U0001d2c0", "1"},  // a digit and a number: each alone
      {"\u0ece!"},                        // a mark
      {"a", "\u180e!"},                   // not white space
      {"a", " \u180e", " ", " b"},
      {"\U0001fae8\U0001f6dc!", " \U0002ee5d"},
  };
  for (const std::vector<std::string>& words : cases) {
    std::string text;
    for (const std::string& word : words) text += word;
    EXPECT_EQ(split(*rules, text), words);
  }
}

TEST(PreTokenizer, TheEmptyNameIsDefault) {
  auto empty = PreTokenizer::named(""), named = PreTokenizer::named("default");
  ASSERT_TRUE(empty && named);
  const std::string text = "a+b 12345 'tis";
  EXPECT_EQ(split(*empty, text), split(*named, text));
  EXPECT_FALSE(empty->ignores_merges());
  EXPECT_TRUE(PreTokenizer::named("llama-bpe")->adds_bos());
  EXPECT_TRUE(PreTokenizer::named("llama-bpe")->ignores_merges());
}

TEST(PreTokenizer, LongRunsAreNoTrouble) {
  for (const char* name : {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-v3", "superbpe"}) {
    auto rules = PreTokenizer::named(name);
    ASSERT_TRUE(rules);
    for (const char* piece : {"a", " ", "\n", "1", "!", "A", "\u0301", "漢"}) {
      std::string text, together;
      for (int i = 0; i < 20000; ++i) text += piece;
      for (const std::string& word : split(*rules, text)) together += word;
      EXPECT_EQ(together.size(), text.size()) << name << " " << piece;
    }
  }
}
