// Sessions: what is kept from turn to turn changes the cost, never the answer.
#include "runtime/session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/golden_model.h"

using namespace retort;
using namespace retort::runtime;

namespace {

class SessionTest : public testing::TestWithParam<const char*> {
 protected:
  SessionTest() : model_(load_golden(GetParam())), pool_(2), runner_(model_->network(), pool_) {
    options_.max_tokens = 6;
  }

  Session create(int64_t context) {
    auto session = Session::create(*model_, runner_, context, kernels::KvType::kF32);
    EXPECT_TRUE(session) << session.error().message;
    return std::move(*session);
  }
  Completion generate(Session& session, const std::vector<int32_t>& prompt) {
    auto completion = session.generate(prompt, options_, [](std::string_view) {});
    EXPECT_TRUE(completion) << completion.error().message;
    return completion ? *completion : Completion{};
  }

  std::unique_ptr<Model> model_;
  base::ThreadPool pool_;
  Runner runner_;
  GenerationOptions options_;
};

TEST_P(SessionTest, TheNextTurnComputesOnlyWhatIsNew) {
  Session session = create(128);
  std::vector<int32_t> prompt = random_tokens(20, 1);
  Completion first = generate(session, prompt);
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_EQ(session.tokens().size(), prompt.size() + first.token_ids.size() - 1);

  std::vector<int32_t> longer = prompt;
  longer.insert(longer.end(), first.token_ids.begin(), first.token_ids.end());
  for (int32_t id : random_tokens(9, 2)) longer.push_back(id);
  Completion second = generate(session, longer);
  EXPECT_EQ(second.reused_tokens, static_cast<int64_t>(prompt.size() + first.token_ids.size() - 1));

  Session fresh = create(128);
  EXPECT_EQ(generate(fresh, longer).token_ids, second.token_ids);
}

TEST_P(SessionTest, AnotherContinuationForgetsTheRest) {
  Session session = create(128);
  std::vector<int32_t> prompt = random_tokens(20, 1), other = prompt;
  generate(session, prompt);
  other[12] ^= 1;
  Completion completion = generate(session, other);
  EXPECT_EQ(completion.reused_tokens, 12);
  Session fresh = create(128);
  EXPECT_EQ(generate(fresh, other).token_ids, completion.token_ids);
}

TEST_P(SessionTest, TheSamePromptAgainGivesTheSame) {
  Session session = create(64);
  options_.sampling.temperature = 1;
  options_.sampling.repeat_penalty = 1.3f;  // sees the part of the prompt that is not computed again, too
  std::vector<int32_t> prompt = random_tokens(20, 1);
  Completion first = generate(session, prompt), second = generate(session, prompt);
  EXPECT_EQ(second.reused_tokens, 19);
  EXPECT_EQ(first.token_ids, second.token_ids);
}

TEST_P(SessionTest, ARefusedPromptLeavesWhatIsHeld) {
  Session session = create(32);
  std::vector<int32_t> prompt = random_tokens(20, 1);
  generate(session, prompt);
  std::vector<int32_t> held(session.tokens().begin(), session.tokens().end());
  auto refused = session.generate(random_tokens(33, 1), options_, [](std::string_view) {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("32"), std::string::npos) << refused.error().message;
  EXPECT_EQ(std::vector<int32_t>(session.tokens().begin(), session.tokens().end()), held);
  std::vector<int32_t> unknown = prompt;
  unknown.back() = 1 << 30;
  EXPECT_FALSE(session.generate(unknown, options_, [](std::string_view) {}));
  session.clear();
  EXPECT_TRUE(session.tokens().empty());
  EXPECT_FALSE(session.generate({}, options_, [](std::string_view) {}));
  EXPECT_FALSE(Session::create(*model_, runner_, 0));
}

std::string test_name(const testing::TestParamInfo<const char*>& golden) {
  std::string name = golden.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, SessionTest, testing::ValuesIn(kGoldenModels), test_name);

}  // namespace
