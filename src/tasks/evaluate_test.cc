// Evaluation from end to end, on the tiny random models: every answer is what the parts give by hand.
#include "tasks/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/session.h"
#include "tasks/classify.h"

using namespace retort;
using namespace retort::tasks;
using testing::HasSubstr;
using training::Row;
using training::RowFile;
using training::RowShape;
using training::TaskKind;
using training::TaskPrompt;

namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

struct EvaluateTest : testing::Test {
  EvaluateTest() : pool(2), runner(model->network(), pool) {}

  base::Result<Evaluation> evaluate(const RowFile& file, const TaskPrompt& prompt, EvaluateOptions options = {}) {
    options.max_tokens = 12;
    return tasks::evaluate(*model, runner, file, prompt, format, options,
                           [&](int64_t done, int64_t total) { progress.emplace_back(done, total); });
  }
  static RowFile rows(RowShape shape, const std::vector<std::pair<std::string, std::string>>& texts) {
    RowFile file{"rows.jsonl", shape, {}};
    for (const auto& [text, answer] : texts)
      file.rows.push_back({static_cast<int64_t>(file.rows.size()) + 1, text, answer, {}});
    return file;
  }
  /// What the model says to a row when nothing was computed before.
  std::string say(const Row& row, const TaskPrompt& prompt) {
    auto session = runtime::Session::create(*model, runner, 1000).value();
    runtime::GenerationOptions generation;
    generation.max_tokens = 12;
    auto tokens = format.prompt(prompt.question(row)).value();
    std::string text = session.generate(tokens, generation, [](std::string_view) {}).value().text;
    size_t begin = text.find_first_not_of(" \t\r\n");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
  }

  std::unique_ptr<runtime::Model> model =
      runtime::Model::load(RETORT_SOURCE_DIR "/tests/golden/models/llama.gguf").value();
  training::PromptFormat format = training::PromptFormat::create(model->file(), model->tokenizer(), kTemplate).value();
  base::ThreadPool pool;
  runtime::Runner runner;
  std::vector<std::pair<int64_t, int64_t>> progress;
};

const RowFile kLabelled = EvaluateTest::rows(RowShape::kLabel, {{"a paint program", "graphics"},
                                                                {"reads mail", "mail"},
                                                                {"a mail reader that plays", "mail"},
                                                                {"plays chess", "games"},
                                                                {"", "graphics"}});

}  // namespace

TEST_F(EvaluateTest, ClassifiesEveryRowAsTheScorerDoesAlone) {
  TaskPrompt prompt(TaskKind::kClassify, "Of {labels}:", {"mail", "games", "graphics", "net", "network"});
  auto evaluation = evaluate(kLabelled, prompt);
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  EXPECT_THAT(evaluation->labels, testing::ElementsAre("games", "graphics", "mail", "net", "network"));
  EXPECT_EQ(progress.back(), (std::pair<int64_t, int64_t>(5, 5)));
  EXPECT_EQ(progress.size(), 6u);
  EXPECT_TRUE(evaluation->shortened.empty());

  std::vector<std::vector<int32_t>> labels;
  for (const std::string& label : evaluation->labels) {
    Row row = kLabelled.rows[1];
    row.answer = label;
    auto example = format.examples(prompt.solved(row)).value()[0];
    auto prompt_size = format.prompt(prompt.question(row)).value().size();
    labels.emplace_back(example.tokens.begin() + static_cast<long>(prompt_size), example.tokens.end());
    EXPECT_TRUE(model->tokenizer().ends_generation(labels.back().back()));
  }
  int right = 0;
  for (size_t i = 0; i < kLabelled.rows.size(); ++i) {
    auto scorer = LabelScorer::create(runner, labels, 1000).value();
    LabelScores scores = scorer.score(format.prompt(prompt.question(kLabelled.rows[i])).value()).value();
    const Prediction& prediction = evaluation->predictions[i];
    EXPECT_EQ(prediction.line, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(prediction.expected, kLabelled.rows[i].answer);
    EXPECT_EQ(prediction.answer, evaluation->labels[static_cast<size_t>(scores.best)]);
    for (size_t j = 0; j < labels.size(); ++j) EXPECT_NEAR(prediction.probabilities[j], scores.probabilities[j], 1e-3);
    EXPECT_GT(prediction.latency_ms, 0);
    right += prediction.answer == prediction.expected ? 1 : 0;
  }
  EXPECT_NEAR(evaluation->find("accuracy")->value, right / 5.0, 1e-12);
  ASSERT_NE(evaluation->find("macro_f1"), nullptr);
  ASSERT_NE(evaluation->find("calibration_error"), nullptr);
  EXPECT_EQ(evaluation->find("rougeL"), nullptr);
  EXPECT_LE(evaluation->latency_p50_ms, evaluation->latency_p99_ms);
  EXPECT_GT(evaluation->tokens_per_s, 0);

  auto json = nlohmann::json::parse(to_json(*evaluation));
  EXPECT_EQ(json["task"], "classify");
  EXPECT_EQ(json["rows"], 5);
  EXPECT_EQ(json["metrics"]["accuracy"]["value"], evaluation->find("accuracy")->value);
  EXPECT_LE(json["metrics"]["accuracy"]["low"], json["metrics"]["accuracy"]["high"]);
  EXPECT_EQ(json["confusion"]["labels"][4], "network");
  int counted = 0;
  for (const auto& row : json["confusion"]["counts"])
    for (const auto& count : row) counted += count.get<int>();
  EXPECT_EQ(counted, 5);
  auto line = nlohmann::json::parse(to_json(evaluation->predictions[0], evaluation->labels));
  EXPECT_EQ(line["expected"], "graphics");
  EXPECT_EQ(line["probabilities"]["mail"], evaluation->predictions[0].probabilities[2]);
}

TEST_F(EvaluateTest, GeneratesWhatASessionGeneratesAlone) {
  RowFile fields = rows(RowShape::kFields, {{"1 Main St", R"({"n":"1"})"}, {"2 High St", R"({"n":"2","s":"High"})"}});
  TaskPrompt extract(TaskKind::kExtract, std::nullopt);
  auto extracted = evaluate(fields, extract);
  ASSERT_TRUE(extracted) << extracted.error().message;
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(extracted->predictions[i].answer, say(fields.rows[i], extract));
  for (const char* metric : {"exact_match", "field_micro_f1", "valid_json"})
    EXPECT_NE(extracted->find(metric), nullptr);
  EXPECT_TRUE(extracted->confusion.empty());
  EXPECT_FALSE(nlohmann::json::parse(to_json(*extracted)).contains("confusion"));

  // The model's own words as the reference: every score is 1, and 0 beside words that it does not say.
  TaskPrompt summarize(TaskKind::kSummarize, "In short:");
  RowFile summaries = rows(RowShape::kSummary, {{"long text", ""}, {"longer text", ""}});
  for (Row& row : summaries.rows) row.answer = say(row, summarize);
  auto same = evaluate(summaries, summarize);
  ASSERT_TRUE(same) << same.error().message;
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(same->predictions[i].answer, summaries.rows[i].answer);
  EXPECT_EQ(same->find("exact_match"), nullptr);
  for (Row& row : summaries.rows) row.answer = "zzzzqqqq";
  auto different = evaluate(summaries, summarize);
  ASSERT_TRUE(different);
  EXPECT_EQ(different->find("rouge1")->value, 0);
}

TEST_F(EvaluateTest, ComparesTheLastTurnOfAChat) {
  RowFile file{"chat.jsonl", RowShape::kChat, {}};
  Row row;
  row.line = 7;
  row.chat.messages = {
      {"user", "Hi", 0, ""}, {"assistant", "Ho", 1, ""}, {"user", "And?", 0, ""}, {"assistant", "", 1, ""}};
  TaskPrompt prompt(TaskKind::kChat, std::nullopt);
  row.chat.messages.back().content = say(row, prompt);
  file.rows = {row};
  auto evaluation = evaluate(file, prompt);
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  EXPECT_EQ(evaluation->find("exact_match")->value, 1);
  EXPECT_EQ(evaluation->predictions[0].line, 7);
  file.rows[0].chat.messages.back() = {"assistant", "", 1, R"({"role":"assistant","tool_calls":[]})"};
  auto tool = evaluate(file, prompt);
  ASSERT_FALSE(tool);
  EXPECT_THAT(tool.error().message, HasSubstr("chat.jsonl:7: the last assistant message calls a tool"));
}

TEST_F(EvaluateTest, ShortensWhatDoesNotFit) {
  RowFile file = kLabelled;
  file.rows[3].text = std::string(400, 'x');
  EvaluateOptions options;
  options.context = 200;
  auto evaluation =
      evaluate(file, TaskPrompt(TaskKind::kClassify, std::nullopt, {"mail", "games", "graphics"}), options);
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  EXPECT_THAT(evaluation->shortened, testing::ElementsAre(4));
  options.context = 5;
  auto tight = evaluate(file, TaskPrompt(TaskKind::kClassify, std::nullopt, {"mail", "games", "graphics"}), options);
  ASSERT_FALSE(tight);
  EXPECT_THAT(tight.error().message, HasSubstr("leaves no room"));
}

TEST_F(EvaluateTest, RefusesBeforeComputing) {
  auto wrong_task = evaluate(kLabelled, TaskPrompt(TaskKind::kSummarize, std::nullopt));
  ASSERT_FALSE(wrong_task);
  EXPECT_THAT(wrong_task.error().message, HasSubstr("which is for the task classify, not summarize"));
  auto unknown = evaluate(kLabelled, TaskPrompt(TaskKind::kClassify, std::nullopt, {"mail", "games"}));
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("rows.jsonl:1:"));
  training::PromptFormat strict =
      training::PromptFormat::create(model->file(), model->tokenizer(), "{{ raise_exception('no') }}").value();
  auto refused = tasks::evaluate(*model, runner, rows(RowShape::kSummary, {{"a", "b"}}),
                                 TaskPrompt(TaskKind::kSummarize, std::nullopt), strict, {}, [](int64_t, int64_t) {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("rows.jsonl:1: template:1:"));
  EXPECT_TRUE(progress.empty());

  std::atomic<bool> cancelled{true};
  EvaluateOptions options;
  options.cancelled = &cancelled;
  auto stopped =
      evaluate(kLabelled, TaskPrompt(TaskKind::kClassify, std::nullopt, {"mail", "games", "graphics"}), options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, kCancelled);
}
