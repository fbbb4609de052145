#include "tasks/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "runtime/session.h"
#include "tasks/classify.h"
#include "tasks/metrics.h"
#include "tasks/rouge.h"
#include "training/dataset.h"

namespace retort::tasks {
namespace {

using training::Row;
using training::RowFile;
using training::TaskKind;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

/// The rows as prompts, and what is left to know before the first of them is computed.
struct Plan {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::vector<int32_t>> labels;  // of classification: the tokens of each
  size_t common = 0;                         // tokens that all prompts begin with, when there are several
  int64_t context = 0;
  Evaluation evaluation;  // predictions have line, expected answer and the time for rendering and tokenizing
};

base::Result<std::string> expected_answer(const Row& row) {
  if (row.chat.messages.empty()) return row.answer;
  const std::vector<training::Message>& messages = row.chat.messages;
  auto last = std::find_if(messages.rbegin(), messages.rend(), [](const auto& m) { return m.role == "assistant"; });
  if (last == messages.rend()) return base::fail("there is no assistant message to compare with");
  if (last->content.empty() && !last->json.empty())
    return base::fail("the last assistant message calls a tool: only texts can be compared");
  return last->content;
}

/// The tokens of each label as an answer, the token that ends it included. They do not depend on the text before.
base::Result<std::vector<std::vector<int32_t>>> label_tokens(const training::TaskPrompt& prompt,
                                                             const training::PromptFormat& format) {
  std::vector<std::vector<int32_t>> all;
  for (const std::string& label : prompt.labels()) {
    Row row;
    row.text = "text";
    row.answer = label;
    RETORT_TRY(std::vector<training::Example> examples, format.examples(prompt.solved(row)));
    const training::Example& example = examples.back();
    auto first = std::find_if(example.loss_weights.begin(), example.loss_weights.end(), [](float w) { return w != 0; });
    all.emplace_back(example.tokens.begin() + (first - example.loss_weights.begin()), example.tokens.end());
    for (size_t i = 0; i + 1 < all.size(); ++i)
      if (all[i] == all.back())
        return base::fail(fmt::format("the labels \"{}\" and \"{}\" are the same to this model: rename one of them",
                                      prompt.labels()[i], label));
  }
  return all;
}

int64_t answer_room(const Plan& plan, const EvaluateOptions& options) {
  if (plan.labels.empty()) return std::max<int64_t>(options.max_tokens, 1);
  size_t longest = 0;
  for (const std::vector<int32_t>& label : plan.labels) longest = std::max(longest, label.size());
  return static_cast<int64_t>(longest);
}

base::Result<Plan> make_plan(const runtime::Model& model, const RowFile& file, const training::TaskPrompt& prompt,
                             const training::PromptFormat& format, const EvaluateOptions& options) {
  if (training::task_of(file.shape) != prompt.kind())
    return base::fail(fmt::format("{}: the rows are {}, which is for the task {}, not {}", file.path, name(file.shape),
                                  name(training::task_of(file.shape)), name(prompt.kind())));
  Plan plan;
  plan.evaluation.kind = prompt.kind();
  if (prompt.kind() == TaskKind::kClassify) {
    RETORT_TRY_STATUS(training::check_labels(file, prompt.labels(), "the given labels"));
    RETORT_TRY(plan.labels, label_tokens(prompt, format));
    plan.evaluation.labels = prompt.labels();
  }
  auto failed = [&](const Row& row, const base::Error& error) {
    return base::fail(fmt::format("{}:{}: {}", file.path, row.line, error.message));
  };
  size_t longest = 0;
  for (const Row& row : file.rows) {
    Clock::time_point start = Clock::now();
    base::Result<std::string> expected = expected_answer(row);
    if (!expected) return failed(row, expected.error());
    base::Result<std::vector<int32_t>> tokens = format.prompt(prompt.question(row));
    if (!tokens) return failed(row, tokens.error());
    longest = std::max(longest, tokens->size());
    plan.prompts.push_back(std::move(*tokens));
    plan.evaluation.predictions.push_back({row.line, std::move(*expected), "", {}, ms_since(start)});
  }

  int64_t room = answer_room(plan, options);
  int64_t needed = static_cast<int64_t>(longest) + room, trained = model.hyperparameters().context_length;
  plan.context = options.context > 0 ? options.context : std::min(needed, trained);
  if (plan.context <= room)
    return base::fail(
        fmt::format("a context of {} leaves no room for a prompt beside an answer of {} tokens", plan.context, room));
  for (size_t i = 0; i < file.rows.size(); ++i) {
    if (static_cast<int64_t>(plan.prompts[i].size()) <= plan.context - room) continue;
    auto shorter = training::make_question(file.rows[i], prompt, format, plan.context - room);
    if (!shorter) return failed(file.rows[i], shorter.error());
    plan.prompts[i] = std::move(*shorter);
    plan.evaluation.shortened.push_back(file.rows[i].line);
  }

  plan.common = plan.prompts.size() > 1 ? plan.prompts[0].size() : 0;
  for (const std::vector<int32_t>& tokens : plan.prompts) {
    size_t limit = std::min(plan.common, tokens.size()), same = 0;
    while (same < limit && tokens[same] == plan.prompts[0][same]) ++same;
    plan.common = same;
  }
  return plan;
}

/// Calls answer(prompt, prediction), which returns the tokens that it computed, for every row, and sums up the times.
template <class Answer>
base::Status answer_rows(Plan& plan, const EvaluateOptions& options, int64_t tokens, double ms,
                         base::FunctionRef<void(int64_t, int64_t)> on_progress, Answer&& answer) {
  auto total = static_cast<int64_t>(plan.prompts.size());
  std::vector<double> latencies;
  for (size_t i = 0; i < plan.prompts.size(); ++i) {
    if (options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed))
      return base::fail(std::string(kCancelled));
    on_progress(static_cast<int64_t>(i), total);
    Prediction& prediction = plan.evaluation.predictions[i];
    Clock::time_point start = Clock::now();
    RETORT_TRY(int64_t computed, answer(plan.prompts[i], prediction));
    prediction.latency_ms += ms_since(start);
    tokens += computed;
    ms += prediction.latency_ms;
    latencies.push_back(prediction.latency_ms);
  }
  on_progress(total, total);
  plan.evaluation.latency_p50_ms = quantile(latencies, 0.5);
  plan.evaluation.latency_p99_ms = quantile(latencies, 0.99);
  plan.evaluation.tokens_per_s = ms > 0 ? static_cast<double>(tokens) * 1000 / ms : 0;
  return {};
}

base::Status classify_rows(runtime::Runner& runner, Plan& plan, const EvaluateOptions& options,
                           base::FunctionRef<void(int64_t, int64_t)> on_progress) {
  RETORT_TRY(LabelScorer scorer, LabelScorer::create(runner, plan.labels, plan.context, options.kv_type));
  Evaluation& evaluation = plan.evaluation;
  std::vector<Choice> choices;
  Clock::time_point start = Clock::now();
  if (plan.common > 0) RETORT_TRY_STATUS(scorer.hold(std::span(plan.prompts[0]).first(plan.common)));
  RETORT_TRY_STATUS(answer_rows(plan, options, static_cast<int64_t>(plan.common), ms_since(start), on_progress,
                                [&](const std::vector<int32_t>& prompt, Prediction& row) -> base::Result<int64_t> {
                                  RETORT_TRY(LabelScores scores, scorer.score(prompt));
                                  auto expected = std::lower_bound(evaluation.labels.begin(), evaluation.labels.end(),
                                                                   row.expected);
                                  auto best = static_cast<size_t>(scores.best);
                                  choices.push_back({static_cast<int32_t>(expected - evaluation.labels.begin()),
                                                     static_cast<int32_t>(best), scores.probabilities[best]});
                                  row.answer = evaluation.labels[best];
                                  row.probabilities = std::move(scores.probabilities);
                                  return scores.computed_tokens;
                                }));
  add_choice_metrics(evaluation, choices, options.bootstrap);
  return {};
}

base::Status generate_rows(const runtime::Model& model, runtime::Runner& runner, Plan& plan,
                           const EvaluateOptions& options, base::FunctionRef<void(int64_t, int64_t)> on_progress) {
  RETORT_TRY(runtime::Session session, runtime::Session::create(model, runner, plan.context, options.kv_type));
  runtime::GenerationOptions generation;
  generation.cancelled = options.cancelled;
  auto generate = [&](std::span<const int32_t> prompt, int64_t max_tokens) {
    generation.max_tokens = max_tokens;
    return session.generate(prompt, generation, [](std::string_view) {});
  };
  Clock::time_point start = Clock::now();
  if (plan.common > 0) RETORT_TRY_STATUS(generate(std::span(plan.prompts[0]).first(plan.common), 1));
  return answer_rows(plan, options, static_cast<int64_t>(plan.common), ms_since(start), on_progress,
                     [&](const std::vector<int32_t>& prompt, Prediction& row) -> base::Result<int64_t> {
                       RETORT_TRY(runtime::Completion completion, generate(prompt, options.max_tokens));
                       if (completion.finish_reason == runtime::FinishReason::kCancelled)
                         return base::fail(std::string(kCancelled));
                       row.answer = trimmed(completion.text);
                       return static_cast<int64_t>(prompt.size()) - completion.reused_tokens +
                              static_cast<int64_t>(completion.token_ids.size());
                     });
}

void add_field_metrics(Evaluation& evaluation, const BootstrapOptions& bootstrap) {
  std::vector<FieldCounts> counts;
  for (const Prediction& row : evaluation.predictions) counts.push_back(compare_fields(row.expected, row.answer));
  std::span<const FieldCounts> rows = counts;
  auto share = [](auto member) {
    return [member](std::span<const FieldCounts> sample) {
      auto hits = std::count_if(sample.begin(), sample.end(), [member](const FieldCounts& row) { return row.*member; });
      return sample.empty() ? 0 : static_cast<double>(hits) / static_cast<double>(sample.size());
    };
  };
  evaluation.metrics.push_back({"exact_match", with_interval(rows, share(&FieldCounts::exact), bootstrap)});
  evaluation.metrics.push_back({"field_micro_f1", with_interval(rows, field_f1, bootstrap)});
  evaluation.metrics.push_back({"valid_json", with_interval(rows, share(&FieldCounts::valid), bootstrap)});
}

void add_text_metrics(Evaluation& evaluation, const BootstrapOptions& bootstrap) {
  std::vector<double> exact, rouge1, rouge2, rouge_l;
  for (const Prediction& row : evaluation.predictions) {
    Rouge scores = rouge(row.expected, row.answer);
    exact.push_back(trimmed(row.expected) == row.answer ? 1 : 0);
    rouge1.push_back(scores.rouge1);
    rouge2.push_back(scores.rouge2);
    rouge_l.push_back(scores.rouge_l);
  }
  auto add = [&](const char* name, const std::vector<double>& values) {
    evaluation.metrics.push_back({name, with_interval(std::span<const double>(values), mean, bootstrap)});
  };
  if (evaluation.kind == TaskKind::kChat) add("exact_match", exact);
  add("rouge1", rouge1);
  add("rouge2", rouge2);
  add("rougeL", rouge_l);
}

}  // namespace

void add_choice_metrics(Evaluation& evaluation, std::span<const Choice> rows, const BootstrapOptions& bootstrap) {
  auto add = [&](const char* name, auto&& metric) {
    evaluation.metrics.push_back({name, with_interval(rows, metric, bootstrap)});
  };
  add("accuracy", accuracy);
  add("macro_f1", macro_f1);
  add("calibration_error", [](std::span<const Choice> sample) { return calibration_error(sample); });
  evaluation.confusion = confusion(rows, static_cast<int32_t>(evaluation.labels.size()));
}

base::Result<Evaluation> evaluate(const runtime::Model& model, runtime::Runner& runner, const RowFile& file,
                                  const training::TaskPrompt& prompt, const training::PromptFormat& format,
                                  const EvaluateOptions& options,
                                  base::FunctionRef<void(int64_t done, int64_t total)> on_progress) {
  RETORT_TRY(Plan plan, make_plan(model, file, prompt, format, options));
  if (prompt.kind() == TaskKind::kClassify) {
    RETORT_TRY_STATUS(classify_rows(runner, plan, options, on_progress));
    return std::move(plan.evaluation);
  }
  RETORT_TRY_STATUS(generate_rows(model, runner, plan, options, on_progress));
  if (prompt.kind() == TaskKind::kExtract)
    add_field_metrics(plan.evaluation, options.bootstrap);
  else
    add_text_metrics(plan.evaluation, options.bootstrap);
  return std::move(plan.evaluation);
}

}  // namespace retort::tasks
