#include "training/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "training/byte_tokenizer.h"

using namespace retort;
using testing::ElementsAre;
using testing::HasSubstr;
using training::Example;
using training::OverLong;
using training::PromptFormat;
using training::Row;
using training::RowFile;
using training::RowShape;
using training::TaskKind;
using training::TaskPrompt;
using training::testing::ByteTokenizer;

namespace {

RowFile labelled(const std::vector<std::string>& texts) {
  RowFile file{"rows.jsonl", RowShape::kLabel, {}};
  for (const std::string& text : texts)
    file.rows.push_back(Row{static_cast<int64_t>(file.rows.size()) + 1, text, "yes", {}});
  return file;
}

struct DatasetTest : testing::Test {
  ByteTokenizer bytes{training::testing::kChatTemplate};
  PromptFormat format = PromptFormat::create(bytes.file(), bytes.tokenizer()).value();
  TaskPrompt prompt{TaskKind::kClassify, "Say {labels}:", {"yes", "no"}};

  std::string text_of(const std::vector<int32_t>& tokens) { return bytes.tokenizer().decode(tokens, true); }
};

}  // namespace

TEST_F(DatasetTest, RendersTaskRows) {
  auto dataset = training::make_dataset(labelled({"a", "bb"}), prompt, format, {});
  ASSERT_TRUE(dataset) << dataset.error().message;
  ASSERT_EQ(dataset->examples.size(), 2u);
  EXPECT_EQ(text_of(dataset->examples[1].tokens),
            "<|start|>system\nSay no, yes:<|end|>\n<|start|>user\nbb<|end|>\n<|start|>assistant\nyes<|end|>");
  EXPECT_EQ(dataset->examples[1].num_targets(), 4);  // y, e, s, end
  EXPECT_EQ(dataset->examples[1].line, 2);
  EXPECT_EQ(dataset->num_targets, 8);
  EXPECT_EQ(dataset->longest, static_cast<int64_t>(dataset->examples[1].tokens.size()));
  auto question = training::make_question(labelled({"bb"}).rows[0], prompt, format, 1000);
  ASSERT_TRUE(question);
  EXPECT_EQ(text_of(*question) + "yes<|end|>", text_of(dataset->examples[1].tokens));
}

TEST_F(DatasetTest, HandlesOverLongRowsAsAsked) {
  RowFile file = labelled({"short", "some words and then some more words that are cut away", "tiny"});
  int64_t limit = training::make_dataset(labelled({"some words and then"}), prompt, format, {}).value().longest;
  auto skipped = training::make_dataset(file, prompt, format, {limit, OverLong::kSkip});
  ASSERT_TRUE(skipped);
  EXPECT_EQ(skipped->examples.size(), 2u);
  EXPECT_THAT(skipped->skipped, ElementsAre(2));
  EXPECT_THAT(skipped->summary(), HasSubstr("2 examples, "));
  EXPECT_THAT(skipped->summary(), HasSubstr("; 1 skipped as too long (line 2)"));

  auto truncated = training::make_dataset(file, prompt, format, {limit, OverLong::kTruncate});
  ASSERT_TRUE(truncated);
  EXPECT_THAT(truncated->truncated, ElementsAre(2));
  std::string text = text_of(truncated->examples[1].tokens);
  EXPECT_THAT(text, HasSubstr("\nsome words and"));
  EXPECT_TRUE(text.ends_with("<|start|>assistant\nyes<|end|>")) << text;
  EXPECT_LE(truncated->longest, limit);
  EXPECT_EQ(truncated->examples[1].num_targets(), 4);
  auto question = training::make_question(file.rows[1], prompt, format, limit - 4);
  ASSERT_TRUE(question);
  EXPECT_EQ(text_of(*question) + "yes<|end|>", text);  // evaluation shortens as training does

  auto stopped = training::make_dataset(file, prompt, format, {limit, OverLong::kStop});
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message, HasSubstr("rows.jsonl: 1 of 3 rows have more than"));
  EXPECT_THAT(stopped.error().message, HasSubstr("(line 2)"));
  auto none = training::make_dataset(file, prompt, format, {10, OverLong::kSkip});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no row fits 10 tokens"));
  EXPECT_FALSE(training::make_question(file.rows[1], prompt, format, 10));
}

TEST_F(DatasetTest, TruncatedConversationsKeepTheirEnd) {
  RowFile file{"chat.jsonl", RowShape::kChat, {}};
  Row row;
  row.line = 1;
  row.chat.messages = {{"user", std::string(100, 'q'), 0, ""}, {"assistant", "yes", 1, ""}};
  file.rows.push_back(row);
  TaskPrompt chat(TaskKind::kChat, std::nullopt);
  for (int64_t limit : {40, 10, 4, 3, 2}) {
    auto dataset = training::make_dataset(file, chat, format, {limit, OverLong::kTruncate});
    ASSERT_TRUE(dataset) << dataset.error().message;
    const Example& example = dataset->examples[0];
    EXPECT_EQ(static_cast<int64_t>(example.tokens.size()), limit);
    EXPECT_EQ(example.loss_weights.size(), example.tokens.size());
    EXPECT_EQ(example.loss_weights[0], 0);
    EXPECT_EQ(example.num_targets(), std::min<int64_t>(4, limit - 1)) << limit;
  }
  EXPECT_FALSE(training::make_dataset(file, chat, format, {1, OverLong::kTruncate}));
}

TEST_F(DatasetTest, TruncatedConversationsOfManyTurnsKeepTheLastAnswer) {
  RowFile file{"chat.jsonl", RowShape::kChat, {}};
  Row row;
  row.line = 1;
  row.chat.messages = {{"user", std::string(30, 'q'), 0, ""},
                       {"assistant", "first", 1, ""},
                       {"user", std::string(30, 'r'), 0, ""},
                       {"assistant", "last", 1, ""},
                       {"user", "thanks", 0, ""}};
  file.rows.push_back(row);
  TaskPrompt chat(TaskKind::kChat, std::nullopt);
  int64_t whole = training::make_dataset(file, chat, format, {}).value().longest;
  for (int64_t limit = 2; limit < whole; ++limit) {
    auto dataset = training::make_dataset(file, chat, format, {limit, OverLong::kTruncate});
    ASSERT_TRUE(dataset) << dataset.error().message;
    const Example& example = dataset->examples[0];
    EXPECT_LE(static_cast<int64_t>(example.tokens.size()), limit);
    EXPECT_EQ(example.loss_weights[0], 0);
    std::string text = text_of(example.tokens), answer = "last<|end|>";
    if (limit > 5)  // four letters, the end of the turn, and what they are predicted from
      EXPECT_TRUE(text.ends_with(answer)) << limit << ": " << text;
    else
      EXPECT_EQ(text.substr(text.size() - (limit - 1)), answer.substr(0, limit - 1)) << limit;
  }
}

TEST_F(DatasetTest, NamesTheRowThatATemplateRefuses) {
  ByteTokenizer strict("{{ raise_exception('not this one') }}");
  PromptFormat refuses = PromptFormat::create(strict.file(), strict.tokenizer()).value();
  auto dataset = training::make_dataset(labelled({"a"}), prompt, refuses, {});
  ASSERT_FALSE(dataset);
  EXPECT_THAT(dataset.error().message, HasSubstr("rows.jsonl:1: template:1:"));
  EXPECT_THAT(dataset.error().message, HasSubstr("not this one"));
}

TEST(TaskPrompt, SurvivesStorage) {
  TaskPrompt prompt(TaskKind::kClassify, std::nullopt, {"b", "a"});
  auto back = TaskPrompt::from_json(prompt.to_json());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->kind(), TaskKind::kClassify);
  EXPECT_EQ(back->instruction(), "Classify the text. Answer with one of: {labels}.");
  EXPECT_THAT(back->labels(), ElementsAre("a", "b"));
  for (const char* bad : {"", "[]", "{\"task\": 1}", R"({"task": "sing", "instruction": ""})",
                          R"({"task": "chat", "instruction": "", "labels": [1]})"})
    EXPECT_FALSE(TaskPrompt::from_json(bad)) << bad;
}

TEST(TaskPrompt, ShowsExamplesAndKeepsTheRestOfAChat) {
  TaskPrompt prompt(TaskKind::kSummarize, "Short!");
  prompt.set_examples({Row{1, "long", "l", {}}});
  auto question = prompt.question(Row{2, "wide", "w", {}});
  std::string shown;
  for (const auto& message : question.messages) shown += message.role + "=" + message.content + ";";
  EXPECT_EQ(shown, "system=Short!;user=long;assistant=l;user=wide;");

  Row chat;
  chat.chat.messages = {{"user", "1", 0, ""},
                        {"assistant", "2", 1, ""},
                        {"user", "3", 0, ""},
                        {"assistant", "4", 1, ""},
                        {"user", "5", 0, ""}};
  TaskPrompt talk(TaskKind::kChat, std::nullopt);
  EXPECT_EQ(talk.question(chat).messages.size(), 3u);
  EXPECT_EQ(talk.solved(chat).messages.size(), 5u);
  EXPECT_EQ(talk.solved(chat).messages[3].content, "4");
}

TEST(PlanBatches, TakesEveryExampleOnceInAnOrderThatSeedAndEpochDecide) {
  std::vector<Example> examples(103);
  for (size_t i = 0; i < examples.size(); ++i) examples[i].tokens.resize(10 + i * 37 % 90);
  training::BatchOptions options{8, 400, 5};
  auto plan = training::plan_batches(examples, options, 0);
  std::set<int64_t> seen;
  for (const auto& batch : plan) {
    ASSERT_FALSE(batch.empty());
    EXPECT_LE(batch.size(), 8u);
    size_t tokens = 0, shortest = SIZE_MAX, longest = 0;
    for (int64_t index : batch) {
      size_t size = examples[static_cast<size_t>(index)].tokens.size();
      tokens += size;
      shortest = std::min(shortest, size);
      longest = std::max(longest, size);
      EXPECT_TRUE(seen.insert(index).second);
    }
    EXPECT_LE(tokens, 400u);
    EXPECT_LE(longest - shortest, 16u);  // of lengths from 10 to 99
  }
  EXPECT_EQ(seen.size(), examples.size());
  EXPECT_EQ(plan, training::plan_batches(examples, options, 0));
  EXPECT_NE(plan, training::plan_batches(examples, options, 1));
  options.seed = 6;
  EXPECT_NE(plan, training::plan_batches(examples, options, 0));
  auto small = training::plan_batches(std::span(examples).first(5), {2, 1 << 20, 1}, 0);
  EXPECT_EQ(small.size(), 3u);
  EXPECT_EQ(training::plan_batches({}, options, 0).size(), 0u);
  std::vector<Example> huge(2);
  huge[0].tokens.resize(1000);
  huge[1].tokens.resize(1000);
  EXPECT_EQ(training::plan_batches(huge, options, 0).size(), 2u);
}
