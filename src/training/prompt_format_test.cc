#include "training/prompt_format.h"

#include <gtest/gtest.h>

#include "training/byte_tokenizer.h"

using namespace retort;
using training::Conversation;
using training::Example;
using training::PromptFormat;
using training::testing::ByteTokenizer;
using training::testing::kChatTemplate;

namespace {

Conversation talk() {
  return {{{"system", "Be brief.", 0, ""},
           {"user", "One?", 0, ""},
           {"assistant", "1", 1, ""},
           {"user", "Two?", 0, ""},
           {"assistant", "2", 1, ""}},
          "",
          false};
}

/// The example's text with its targets in brackets.
std::string marked(const ByteTokenizer& bytes, const Example& example) {
  std::string text;
  bool on = false;
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    bool now = example.loss_weights[i] != 0;
    if (now != on) text += now ? "[" : "]";
    on = now;
    text += bytes.tokenizer().piece(example.tokens[i], true);
  }
  return on ? text + "]" : text;
}

std::vector<std::string> rendered(const ByteTokenizer& bytes, const Conversation& conversation) {
  auto format = PromptFormat::create(bytes.file(), bytes.tokenizer());
  EXPECT_TRUE(format);
  auto examples = format->examples(conversation);
  if (!examples) return {"error: " + examples.error().message};
  std::vector<std::string> texts;
  for (const Example& example : *examples) {
    EXPECT_EQ(example.tokens.size(), example.loss_weights.size());
    texts.push_back(marked(bytes, example));
  }
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST(PromptFormat, LearnsEveryAssistantTurnWithItsEnd) {
  EXPECT_EQ(rendered(ByteTokenizer(kChatTemplate), talk()),
            Texts{"<|start|>system\nBe brief.<|end|>\n<|start|>user\nOne?<|end|>\n<|start|>assistant\n[1<|end|>]\n"
                  "<|start|>user\nTwo?<|end|>\n<|start|>assistant\n[2<|end|>]"});
}

TEST(PromptFormat, LeavesOutTurnsWithoutWeight) {
  Conversation conversation = talk();
  conversation.messages[2].weight = 0;
  EXPECT_EQ(rendered(ByteTokenizer(kChatTemplate), conversation),
            Texts{"<|start|>system\nBe brief.<|end|>\n<|start|>user\nOne?<|end|>\n<|start|>assistant\n1<|end|>\n"
                  "<|start|>user\nTwo?<|end|>\n<|start|>assistant\n[2<|end|>]"});
  conversation.messages[4].weight = 0;
  EXPECT_EQ(rendered(ByteTokenizer(kChatTemplate), conversation)[0].substr(0, 24), "error: nothing to learn:");
}

TEST(PromptFormat, ThePromptIsTheStartOfTheExample) {
  for (const char* source : {kChatTemplate, ""}) {
    for (bool adds_bos : {false, true}) {
      ByteTokenizer bytes(source, {": 1", "s t"}, adds_bos);
      PromptFormat format = PromptFormat::create(bytes.file(), bytes.tokenizer()).value();
      Conversation conversation = talk();
      Example example = format.examples(conversation).value().at(0);
      conversation.messages.pop_back();
      std::vector<int32_t> prompt = format.prompt(conversation).value();
      EXPECT_EQ(prompt[0] == ByteTokenizer::kBos, adds_bos);
      ASSERT_LT(prompt.size(), example.tokens.size());
      for (size_t i = 0; i < prompt.size(); ++i) EXPECT_EQ(prompt[i], example.tokens[i]) << i;
      EXPECT_NE(example.loss_weights[prompt.size()], 0);
    }
  }
}

TEST(PromptFormat, ATokenAcrossTheBorderDoesNotChangeThePrompt) {
  // ":)" would be one token: serving tokenizes the prompt before there is an answer.
  ByteTokenizer bytes(
      "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}"
      "{% if add_generation_prompt %}assistant:{% endif %}",
      {": )"});
  Conversation conversation{{{"user", "x", 0, ""}, {"assistant", ")", 1, ""}}, "", false};
  EXPECT_EQ(rendered(bytes, conversation), Texts{"user:x<|end|>assistant:[)<|end|>]"});
}

TEST(PromptFormat, SplitsWhereEarlierTurnsAreRenderedDifferentlyLater) {
  ByteTokenizer bytes(
      "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content if m.role != 'assistant' or loop.last else "
      "m.content | upper }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}");
  Conversation conversation{
      {{"user", "a", 0, ""}, {"assistant", "b", 1, ""}, {"user", "c", 0, ""}, {"assistant", "d", 1, ""}}, "", false};
  EXPECT_EQ(rendered(bytes, conversation),
            (Texts{"<|start|>user\na<|end|>\n<|start|>assistant\n[b<|end|>]",
                   "<|start|>user\na<|end|>\n<|start|>assistant\nB<|end|>\n<|start|>user\nc<|end|>\n"
                   "<|start|>assistant\n[d<|end|>]"}));
}

TEST(PromptFormat, FollowsAGenerationPromptThatTheTurnLacks) {
  ByteTokenizer bytes(
      "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}");
  Conversation conversation{{{"user", "a", 0, ""}, {"assistant", "b", 1, ""}}, "", false};
  EXPECT_EQ(rendered(bytes, conversation), Texts{"<|start|>user\na<|end|>\n<|start|>assistant\n<think>\n[b<|end|>]"});
}

TEST(PromptFormat, PutsTheSystemMessageIntoTheUserTurnWhereItHasNoPlace) {
  ByteTokenizer bytes(
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
      "<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}");
  Conversation conversation{{{"system", "S", 0, ""}, {"user", "a", 0, ""}, {"assistant", "b", 1, ""}}, "", false};
  EXPECT_EQ(rendered(bytes, conversation), Texts{"<|start|>user\nS\n\na<|end|>\n<|start|>assistant\n[b<|end|>]"});
}

TEST(PromptFormat, HasAPlainFormForBaseModels) {
  ByteTokenizer bytes("");
  EXPECT_EQ(rendered(bytes, talk()),
            Texts{"Be brief.\n\nInput: One?\nOutput:[ 1<|end|>]\n\nInput: Two?\nOutput:[ 2<|end|>]"});
  Conversation raw{{{"user", "Q: 1 + 1 =", 0, ""}, {"assistant", " 2", 1, ""}}, "", true};
  EXPECT_EQ(rendered(bytes, raw), Texts{"Q: 1 + 1 =[ 2<|end|>]"});
}

TEST(PromptFormat, PassesOnWhatTheTemplateRefuses) {
  ByteTokenizer bytes("{{ raise_exception('roles must alternate') }}");
  EXPECT_NE(rendered(bytes, talk())[0].find("roles must alternate"), std::string::npos);
}
