// Generation end to end on tiny models: lengths, stops, the context's end, seeds and cancelling.
#include "runtime/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "runtime/golden_model.h"
#include "text/utf8.h"

using namespace retort;
using namespace retort::runtime;
using testing::HasSubstr;

namespace {

class GenerateTest : public testing::Test {
 protected:
  GenerateTest() : model_(load_golden("llama")), pool_(2), runner_(model_->network(), pool_) {
    options_.max_tokens = 40;
    options_.sampling.logit_bias = {{257, -1e9f}};  // no end of sequence: the weights are random
  }

  base::Result<Completion> generate(int64_t capacity = 256) {
    auto cache = runner_.make_cache(capacity);
    pieces_.clear();
    auto result = runtime::generate(*model_, runner_, *cache, prompt_, options_, [&](std::string_view piece) {
      pieces_.emplace_back(piece);
      if (on_piece_) on_piece_();
    });
    cached_ = cache->length();
    return result;
  }

  std::string joined() const {
    std::string all;
    for (const std::string& piece : pieces_) all += piece;
    return all;
  }

  std::unique_ptr<Model> model_;
  base::ThreadPool pool_;
  Runner runner_;
  const size_t chunk_ = static_cast<size_t>(runner_.chunk_tokens());
  GenerationOptions options_;
  std::vector<int32_t> prompt_ = random_tokens(12, 1);
  std::vector<std::string> pieces_;
  std::function<void()> on_piece_;
  int64_t cached_ = 0;
};

}  // namespace

TEST_F(GenerateTest, StreamsWhatItReturnsAsWholeCharacters) {
  auto completion = generate();
  ASSERT_TRUE(completion) << completion.error().message;
  EXPECT_EQ(completion->token_ids.size(), 40u);
  EXPECT_EQ(completion->finish_reason, FinishReason::kLength);
  EXPECT_EQ(joined(), completion->text);
  EXPECT_EQ(cached_, 12 + 39);
  for (const std::string& piece : pieces_) {
    EXPECT_FALSE(piece.empty());
    EXPECT_EQ(text::repair_utf8(piece), piece);
  }
  EXPECT_GT(completion->prefill_ms, 0);
  EXPECT_GT(completion->decode_ms, 0);
}

TEST_F(GenerateTest, GreedyTokensAreThoseOfSuccessiveForwardPasses) {
  auto completion = generate();
  ASSERT_TRUE(completion);
  std::vector<int32_t> tokens = prompt_;
  for (int32_t id : completion->token_ids) {
    auto cache = runner_.make_cache(256);
    Input input{&*cache, tokens, Want::kLast};
    int32_t best = -1;
    ASSERT_TRUE(runner_.run({&input, 1}, [&](size_t, int64_t, std::span<float> logits) {
      logits[257] -= 1e9f;
      best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    }));
    ASSERT_EQ(id, best);
    tokens.push_back(id);
  }
}

TEST_F(GenerateTest, StopsAtEveryPossibleStringOfItsOwnText) {
  auto whole = generate();
  ASSERT_TRUE(whole);
  ASSERT_GT(whole->text.size(), 12u);
  for (size_t at = 0; at + 3 <= whole->text.size(); ++at) {
    std::string stop = whole->text.substr(at, 3);
    options_.stops = {"never in the text", stop};
    auto completion = generate();
    ASSERT_TRUE(completion);
    EXPECT_EQ(completion->text, whole->text.substr(0, whole->text.find(stop)));
    EXPECT_EQ(joined(), completion->text);
    EXPECT_EQ(completion->finish_reason, FinishReason::kStop);
    EXPECT_LE(completion->token_ids.size(), whole->token_ids.size());
  }
}

TEST_F(GenerateTest, AnEndOfGenerationTokenEndsWithoutBeingShown) {
  options_.sampling.logit_bias = {{257, 1e9f}};
  auto completion = generate();
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->text, "");
  EXPECT_EQ(completion->finish_reason, FinishReason::kStop);
  EXPECT_THAT(completion->token_ids, testing::ElementsAre(257));
}

TEST_F(GenerateTest, TheContextsEndEndsTheAnswer) {
  options_.max_tokens = -1;
  auto completion = generate(20);
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->token_ids.size(), 20 - 12 + 1u);  // the last one need not be fed
  EXPECT_EQ(completion->finish_reason, FinishReason::kLength);
  EXPECT_EQ(cached_, 20);
  options_.max_tokens = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(generate(20)->token_ids, completion->token_ids);
  EXPECT_EQ(generate(12)->token_ids.size(), 1u);
}

TEST_F(GenerateTest, APromptThatDoesNotFitIsRefusedUntouched) {
  prompt_ = random_tokens(chunk_ + 100, 2);
  auto completion = generate(static_cast<int64_t>(chunk_) + 99);
  ASSERT_FALSE(completion);
  EXPECT_THAT(completion.error().message, HasSubstr("do not fit a context of"));
  EXPECT_EQ(cached_, 0);
  prompt_.clear();
  completion = generate();
  ASSERT_FALSE(completion);
  EXPECT_THAT(completion.error().message, HasSubstr("the prompt is empty"));
}

TEST_F(GenerateTest, TheSeedDecides) {
  options_.sampling.temperature = 2;
  options_.sampling.seed = 7;
  auto first = generate(), second = generate();
  EXPECT_EQ(first->token_ids, second->token_ids);
  options_.sampling.seed = 8;
  EXPECT_NE(generate()->token_ids, first->token_ids);
}

TEST_F(GenerateTest, PenaltiesSeeThePrompt) {
  // A window of the prompt's last token alone, and a penalty no logit survives.
  auto free = generate();
  prompt_.push_back(free->token_ids[0]);
  options_.max_tokens = 1;
  auto again = generate();
  prompt_.back() = again->token_ids[0];
  options_.sampling.presence_penalty = 1e6f;
  options_.sampling.penalty_window = 1;
  EXPECT_NE(generate()->token_ids[0], prompt_.back());
}

TEST_F(GenerateTest, CancellingEndsAfterTheCurrentToken) {
  std::atomic<bool> cancelled = false;
  options_.cancelled = &cancelled;
  on_piece_ = [&] { cancelled = pieces_.size() >= 3; };
  auto completion = generate();
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->finish_reason, FinishReason::kCancelled);
  EXPECT_LT(completion->token_ids.size(), 40u);
  EXPECT_THAT(joined(), testing::StartsWith(pieces_[0] + pieces_[1] + pieces_[2]));
  EXPECT_EQ(completion->text, joined());
  EXPECT_EQ(name(completion->finish_reason), "cancelled");

  on_piece_ = nullptr;  // before anything was fed
  cancelled = true;
  prompt_ = random_tokens(chunk_ + 50, 3);
  completion = generate(1200);
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(completion->token_ids.empty());
  EXPECT_EQ(cached_, 0);
}

TEST_F(GenerateTest, ALongPromptGivesWhatOnePassGives) {
  prompt_ = random_tokens(2 * chunk_ + 50, 4);
  options_.max_tokens = 3;
  auto completion = generate(1200);
  ASSERT_TRUE(completion);
  auto cache = runner_.make_cache(1200);
  Input input{&*cache, prompt_, Want::kLast};
  ASSERT_TRUE(runner_.run({&input, 1}, [&](size_t, int64_t, std::span<float> logits) {
    logits[257] -= 1e9f;
    EXPECT_EQ(completion->token_ids[0], std::max_element(logits.begin(), logits.end()) - logits.begin());
  }));
}

TEST_F(GenerateTest, OptionsOutOfRangeAreRefused) {
  options_.sampling.top_p = 2;
  auto completion = generate();
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().message, "top-p is 2, expected more than 0, at most 1");
}
