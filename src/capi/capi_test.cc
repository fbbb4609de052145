// The C API as its users see it: through the shared library and its header alone.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "retort/retort.h"

namespace {

const std::string kFolder = RETORT_SOURCE_DIR "/tests/golden/models/";

int collect(const char* text, size_t bytes, void* user) {
  static_cast<std::string*>(user)->append(text, bytes);
  EXPECT_EQ(text[bytes], '\0');
  return 0;
}

class Capi : public testing::Test {
 protected:
  void SetUp() override {
    model_ = retort_model_load((kFolder + "llama.gguf").c_str());
    ASSERT_NE(model_, nullptr) << retort_last_error();
    retort_session_options options = retort_session_defaults();
    options.num_threads = 2;
    options.context = 64;
    session_ = retort_session_create(model_, &options);
    ASSERT_NE(session_, nullptr) << retort_last_error();
  }
  void TearDown() override {
    retort_session_free(session_);
    retort_model_free(model_);
  }

  std::vector<int32_t> tokenize(const std::string& text) {
    std::vector<int32_t> ids(text.size() + 8);
    int64_t count = retort_tokenize(model_, text.data(), text.size(), 0, ids.data(), static_cast<int64_t>(ids.size()));
    EXPECT_GE(count, 0) << retort_last_error();
    ids.resize(static_cast<size_t>(count));
    return ids;
  }

  retort_model* model_ = nullptr;
  retort_session* session_ = nullptr;
};

TEST(CapiModel, WhatIsNotAModelIsAnErrorThatNamesTheFile) {
  EXPECT_EQ(retort_model_load("/nonexistent/m.gguf"), nullptr);
  EXPECT_NE(std::string(retort_last_error()).find("/nonexistent/m.gguf"), std::string::npos) << retort_last_error();
  EXPECT_EQ(retort_model_load((kFolder + "llama.ids.json").c_str()), nullptr);
  EXPECT_EQ(retort_model_load(nullptr), nullptr);
  retort_model_free(nullptr);
  retort_session_free(nullptr);
  retort_string_free(nullptr);
}

TEST_F(Capi, TokenizesAndBack) {
  std::vector<int32_t> ids = tokenize("Hello, world");
  ASSERT_FALSE(ids.empty());
  char* text = retort_detokenize(model_, ids.data(), static_cast<int64_t>(ids.size()));
  ASSERT_NE(text, nullptr);
  EXPECT_STREQ(text, "Hello, world");
  retort_string_free(text);
  // Too little room: the count comes all the same, and nothing is written past the room.
  std::vector<int32_t> few(4, -7);
  EXPECT_EQ(retort_tokenize(model_, "Hello, world", 12, 0, few.data(), 2), static_cast<int64_t>(ids.size()));
  EXPECT_EQ(few[1], ids[1]);
  EXPECT_EQ(few[2], -7);
  EXPECT_EQ(retort_tokenize(model_, nullptr, 0, RETORT_NO_BOS, nullptr, 0), 0);
  EXPECT_EQ(retort_tokenize(model_, nullptr, 3, 0, nullptr, 0), -1);
  EXPECT_EQ(retort_detokenize(model_, nullptr, 3), nullptr);
}

TEST_F(Capi, GeneratesTheSameTextAgain) {
  retort_generation_options options = retort_generation_defaults();
  options.max_tokens = 12;
  options.temperature = 1.5f;
  options.seed = 7;
  std::string first, second, other;
  retort_generation_result result = {};
  result.struct_bytes = sizeof result;
  ASSERT_EQ(retort_generate_text(session_, "Once upon", &options, collect, &first, &result), 0) << retort_last_error();
  EXPECT_EQ(result.completion_tokens, 12);
  EXPECT_EQ(result.finish_reason, RETORT_FINISH_LENGTH);
  EXPECT_EQ(result.reused_tokens, 0);
  retort_session_clear(session_);
  ASSERT_EQ(retort_generate_text(session_, "Once upon", &options, collect, &second, nullptr), 0);
  EXPECT_EQ(first, second);
  options.seed = 8;
  ASSERT_EQ(retort_generate_text(session_, "Once upon", &options, collect, &other, &result), 0);
  EXPECT_EQ(result.reused_tokens, result.prompt_tokens - 1);
  EXPECT_NE(first, other);
}

TEST_F(Capi, TheCallbackStopsGeneration) {
  struct Count {
    int pieces = 0;
  } count;
  auto stop_at_second = [](const char*, size_t, void* user) {
    return ++static_cast<Count*>(user)->pieces == 2 ? 1 : 0;
  };
  retort_generation_result result = {};
  result.struct_bytes = sizeof result;
  ASSERT_EQ(retort_generate_text(session_, "Once", nullptr, stop_at_second, &count, &result), 0) << retort_last_error();
  EXPECT_EQ(result.finish_reason, RETORT_FINISH_CANCELLED);
  EXPECT_EQ(count.pieces, 2);
}

TEST_F(Capi, BadRequestsAreErrorsAndTheSessionLivesOn) {
  EXPECT_EQ(retort_generate(session_, nullptr, 0, nullptr, nullptr, nullptr, nullptr), -1);
  std::vector<int32_t> too_long(65, 65);
  EXPECT_EQ(retort_generate(session_, too_long.data(), 65, nullptr, nullptr, nullptr, nullptr), -1);
  EXPECT_NE(std::string(retort_last_error()).find("64"), std::string::npos) << retort_last_error();
  int32_t unknown = 1 << 30;
  EXPECT_EQ(retort_generate(session_, &unknown, 1, nullptr, nullptr, nullptr, nullptr), -1);
  retort_generation_options options = retort_generation_defaults();
  options.top_p = 3;
  int32_t token = 65;
  EXPECT_EQ(retort_generate(session_, &token, 1, &options, nullptr, nullptr, nullptr), -1);
  EXPECT_NE(std::string(retort_last_error()).find("top-p"), std::string::npos) << retort_last_error();
  EXPECT_EQ(retort_generate(nullptr, &token, 1, nullptr, nullptr, nullptr, nullptr), -1);
  retort_session_options bad = retort_session_defaults();
  bad.kv_type = 9;
  EXPECT_EQ(retort_session_create(model_, &bad), nullptr);
  bad = retort_session_defaults();
  bad.context = -1;
  EXPECT_EQ(retort_session_create(model_, &bad), nullptr);
  options = retort_generation_defaults();
  options.max_tokens = 3;
  EXPECT_EQ(retort_generate(session_, &token, 1, &options, nullptr, nullptr, nullptr), 0) << retort_last_error();
}

TEST_F(Capi, AnOlderHeadersStructLeavesTheRestAtItsDefault) {
  struct Old {
    size_t struct_bytes;
    int64_t max_tokens;
  } old = {sizeof(Old), 4};
  retort_generation_result result = {};
  result.struct_bytes = sizeof result;
  int32_t token = 65;
  ASSERT_EQ(retort_generate(session_, &token, 1, reinterpret_cast<const retort_generation_options*>(&old), nullptr,
                            nullptr, &result),
            0);
  EXPECT_EQ(result.completion_tokens, 4);
}

TEST_F(Capi, ASessionKeepsItsModelAlive) {
  retort_model_free(model_);
  model_ = nullptr;
  int32_t token = 65;
  retort_generation_options options = retort_generation_defaults();
  options.max_tokens = 2;
  EXPECT_EQ(retort_generate(session_, &token, 1, &options, nullptr, nullptr, nullptr), 0) << retort_last_error();
}

TEST_F(Capi, ErrorsBelongToTheirThread) {
  EXPECT_EQ(retort_model_load("/nonexistent/a"), nullptr);
  std::thread([] { EXPECT_STREQ(retort_last_error(), ""); }).join();
  EXPECT_NE(std::string(retort_last_error()), "");
}

TEST_F(Capi, TheModelTellsAboutItself) {
  EXPECT_GT(retort_vocabulary_size(model_), 256);
  EXPECT_GT(retort_context_length(model_), 0);
  EXPECT_EQ(retort_ends_generation(model_, 65), 0);
  EXPECT_EQ(retort_ends_generation(model_, -1), 0);
  EXPECT_EQ(std::string(retort_version()).find("0."), 0u);
}

TEST_F(Capi, ABaseModelHasNoChatPrompt) {
  EXPECT_EQ(retort_chat_prompt(model_, "[{\"role\":\"user\",\"content\":\"Hi\"}]", nullptr, 1), nullptr);
  EXPECT_NE(std::string(retort_last_error()).find("base model"), std::string::npos) << retort_last_error();
}

}  // namespace
