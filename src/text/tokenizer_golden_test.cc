// Tokenizers of real models against the ids that llama.cpp gives (tools/make_tokenizer_goldens.py). Needs the models'
// files; a test is skipped only by naming it away, never because a file is missing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "text/tokenizer.h"
#include "text/utf8.h"

using namespace retort;
using namespace retort::text;

namespace {

struct Real {
  const char* name;
  const char* file;
};

std::string models_folder() {
  const char* home = std::getenv("RETORT_HOME");
  return (home != nullptr ? std::string(home) : std::string(std::getenv("HOME")) + "/.cache/retort") + "/models/";
}

class TokenizerGolden : public testing::TestWithParam<Real> {
 protected:
  void SetUp() override {
    auto file = formats::GgufFile::open(models_folder() + GetParam().file);
    ASSERT_TRUE(file) << file.error().message << ": `make models` gets it";
    file_ = std::make_unique<formats::GgufFile>(std::move(*file));
    auto tokenizer = Tokenizer::load(*file_);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = std::move(*tokenizer);
    std::ifstream in(std::string(RETORT_SOURCE_DIR "/tests/golden/tokenizer/") + GetParam().name + ".json");
    cases_ = nlohmann::json::parse(in);
    ASSERT_GE(cases_.size(), 100u);
  }

  std::unique_ptr<formats::GgufFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  nlohmann::json cases_;
};

TEST_P(TokenizerGolden, GivesTheIdsOfLlamaCpp) {
  EncodeOptions special, plain;
  special.add_bos = plain.add_bos = false;
  plain.parse_special = false;
  for (const auto& entry : cases_) {
    auto text = entry["text"].get<std::string>();
    EXPECT_EQ(tokenizer_->encode(text, special), entry["ids"].get<std::vector<int32_t>>()) << entry["text"].dump();
    EXPECT_EQ(tokenizer_->encode(text, plain), entry["plain"].get<std::vector<int32_t>>()) << entry["text"].dump();
  }
}

TEST_P(TokenizerGolden, StreamsWholeCharactersAndLosesNothing) {
  EncodeOptions plain;
  plain.add_bos = false;
  plain.parse_special = false;
  for (const auto& entry : cases_) {
    auto text = entry["text"].get<std::string>();
    std::vector<int32_t> ids = tokenizer_->encode(text, plain);
    StreamingDecoder decoder(*tokenizer_);
    std::string streamed;
    for (int32_t id : ids) {
      std::string piece = decoder.push(id);
      EXPECT_EQ(repair_utf8(piece), piece) << entry["text"].dump() << ": half a character came out";
      streamed += piece;
    }
    streamed += decoder.finish();
    if (tokenizer_->vocabulary().find("\u2581") >= 0) {  // SentencePiece writes spaces so, and cannot tell them apart
      for (size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos;) text.replace(at, 3, " ");
    }
    EXPECT_EQ(streamed, text) << entry["text"].dump();
  }
}

TEST_P(TokenizerGolden, TakesWhatIsNotUtf8) {
  EncodeOptions options;
  for (const char* text : {"\xff", "a\xc3", "\xe6\xbc", "\xf0\x9f\x98", "\xc0\x80", "\xed\xa0\x80", "ok \xfe\xff ok"}) {
    for (int32_t id : tokenizer_->encode(text, options)) {
      EXPECT_GE(id, 0);
      EXPECT_LT(id, tokenizer_->vocabulary().size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Default, TokenizerGolden,
                         testing::Values(Real{"smollm2-135m", "smollm2-135m-instruct-q4_1.gguf"}));
INSTANTIATE_TEST_SUITE_P(Larger, TokenizerGolden,
                         testing::Values(Real{"gemma3-270m", "gemma-3-270m-q4_k_m.gguf"},
                                         Real{"qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"},
                                         Real{"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"}));

}  // namespace
