#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/run_options.h"
#include "tasks/evaluate.h"
#include "tasks/evaluate_head.h"
#include "training/head.h"

namespace retort::cli {
namespace {

struct Options {
  EngineOptions engine;
  tasks::EvaluateOptions evaluate;
  std::string data, task, task_file, head, labels_from, template_file, predictions;
  std::optional<std::string> instruction;
  std::vector<std::string> labels;
  int64_t limit = -1;
  bool json = false;
};

/// The labels that the prompt lists, and where they come from.
struct Labels {
  std::vector<std::string> all;
  std::string origin;
};

base::Result<Labels> find_labels(const Options& options, const training::RowFile& file) {
  if (!options.labels.empty()) {
    std::vector<std::string> labels = options.labels;
    std::sort(labels.begin(), labels.end());
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
    return Labels{labels, "--labels"};
  }
  if (options.labels_from.empty()) return Labels{training::distinct_answers(file.rows), options.data};
  RETORT_TRY(training::RowFile source, training::read_rows(options.labels_from));
  if (source.shape != training::RowShape::kLabel)
    return base::fail(fmt::format("{}: expected rows of {} to take labels from, got {}", options.labels_from,
                                  name(training::RowShape::kLabel), name(source.shape)));
  return Labels{training::distinct_answers(source.rows), options.labels_from};
}

void print_confusion(const tasks::Evaluation& evaluation) {
  size_t size = evaluation.labels.size(), width = 5;
  for (const std::string& label : evaluation.labels) width = std::max(width, label.size());
  fmt::print("\nRows: the expected label. Columns: the predicted one, in the same order.\n");
  for (size_t i = 0; i < size; ++i) {
    fmt::print("  {:<{}}", evaluation.labels[i], width);
    for (size_t j = 0; j < size; ++j) {
      int64_t count = evaluation.confusion[i * size + j];
      fmt::print(" {:>4}", count > 0 ? std::to_string(count) : ".");
    }
    fmt::print("\n");
  }
}

void print(const tasks::Evaluation& evaluation) {
  fmt::print("{} rows", evaluation.predictions.size());
  if (!evaluation.shortened.empty())
    fmt::print(", {} of them shortened to fit the context", evaluation.shortened.size());
  fmt::print("\n\n{:<20} {:>8}   95% interval\n", "metric", "value");
  for (const tasks::Metric& metric : evaluation.metrics)
    fmt::print("{:<20} {:>8.4f}   {:.4f} to {:.4f}\n", metric.name, metric.estimate.value, metric.estimate.low,
               metric.estimate.high);
  fmt::print("\nA row takes {:.1f} ms (median), {:.1f} ms (99th percentile); {:.0f} tokens/s\n",
             evaluation.latency_p50_ms, evaluation.latency_p99_ms, evaluation.tokens_per_s);
  if (!evaluation.confusion.empty()) print_confusion(evaluation);
}

/// What the model is told: as the task file has it, or as the options say.
base::Result<training::TaskPrompt> make_prompt(const Options& options, const training::RowFile& file) {
  if (!options.task_file.empty()) {
    RETORT_TRY(std::string json, read_input(options.task_file));
    base::Result<training::TaskPrompt> prompt = training::TaskPrompt::from_json(json);
    if (!prompt) return base::fail(fmt::format("{}: {}", options.task_file, prompt.error().message));
    return prompt;
  }
  training::TaskKind kind = training::task_of(file.shape);
  if (!options.task.empty()) {
    RETORT_TRY(kind, training::parse_task(options.task));
  }
  if (kind != training::TaskKind::kClassify && !(options.labels.empty() && options.labels_from.empty()))
    return base::fail(fmt::format("--labels and --labels-from are for classify, the task is {}", name(kind)));
  Labels labels;
  if (kind == training::TaskKind::kClassify && file.shape == training::RowShape::kLabel) {
    RETORT_TRY(labels, find_labels(options, file));
    RETORT_TRY_STATUS(training::check_labels(file, labels.all, labels.origin));
  }
  return training::TaskPrompt(kind, options.instruction, labels.all);
}

base::Result<int> run(const Options& options) {
  RETORT_TRY(training::RowFile file, training::read_rows(options.data));
  RETORT_TRY(training::TaskPrompt prompt, make_prompt(options, file));
  if (options.limit >= 0 && options.limit < static_cast<int64_t>(file.rows.size()))
    file.rows.resize(static_cast<size_t>(options.limit));
  std::optional<base::AtomicFile> predictions;
  if (!options.predictions.empty()) {
    RETORT_TRY(base::AtomicFile created, base::AtomicFile::create(options.predictions));
    predictions.emplace(std::move(created));
  }
  std::string template_source;
  if (!options.template_file.empty()) {
    RETORT_TRY(template_source, read_input(options.template_file));
  }

  RETORT_TRY(Engine engine, Engine::load(options.engine));
  std::optional<training::Head> head;
  if (!options.head.empty()) {
    RETORT_TRY(head, training::read_head(options.head));
    formats::BaseIdentity base = formats::base_identity(engine.model->file());
    formats::Adapter trained;
    trained.base = head->base;
    trained.base.template_hash = base.template_hash;  // a head reads plain text
    RETORT_TRY_STATUS(formats::check_base(trained, base, options.head, engine.model->file().path()));
  }
  RETORT_TRY(training::PromptFormat format,
             training::PromptFormat::create(engine.model->file(), engine.model->tokenizer(), template_source));
  tasks::EvaluateOptions settings = options.evaluate;
  settings.context = engine.context;
  settings.kv_type = engine.kv_type;
  InterruptGuard interrupt;
  settings.cancelled = &interrupt.flag();
  base::Result<tasks::Evaluation> evaluation = [&] {
    base::Progress progress("eval", base::ProgressUnit::kItems, "rows");
    if (head)
      return tasks::evaluate_head(*engine.model, *engine.pool, *head, file, settings, [&](int64_t done, int64_t total) {
        progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
      });
    return tasks::evaluate(*engine.model, *engine.runner, file, prompt, format, settings,
                           [&](int64_t done, int64_t total) {
                             progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
                           });
  }();
  if (!evaluation && interrupt.interrupted()) {
    fmt::print(stderr, "retort: interrupted: nothing is reported\n");
    return kInterrupted;
  }
  if (!evaluation) return tl::unexpected(evaluation.error());
  if (predictions) {
    for (const tasks::Prediction& prediction : evaluation->predictions)
      RETORT_TRY_STATUS(predictions->write(tasks::to_json(prediction, evaluation->labels) + "\n"));
    RETORT_TRY_STATUS(predictions->commit());
  }
  if (options.json)
    fmt::print("{}\n", tasks::to_json(*evaluation));
  else
    print(*evaluation);
  return kDone;
}

}  // namespace

void add_eval(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("eval", "Measure how good a model is at a task");
  add_engine_options(*command, options->engine);
  command->add_option("--data", options->data, "Rows with the right answers: JSON lines or CSV")->required();
  auto* task = command->add_option("--task", options->task, "What to ask for; default: what the rows are for")
                   ->check(CLI::IsMember({"classify", "extract", "summarize", "chat"}));
  command->add_option("--head", options->head, "Classify with this head, as `retort tune --method head` writes it");
  command->add_option("--limit", options->limit, "Take only the first rows")->check(CLI::PositiveNumber);
  auto* labels = command->add_option("--labels", options->labels, "Labels to choose from, with commas between them")
                     ->delimiter(',');
  auto* labels_from = command
                          ->add_option("--labels-from", options->labels_from,
                                       "Choose from the labels of this file, as the training set")
                          ->excludes(labels);
  auto* instruction = command->add_option("--instruction", options->instruction,
                                          "Tell the model this; {labels} stands for the labels; \"\": nothing");
  command->add_option("--task-file", options->task_file, "Ask as this task.json of `retort tune` has it")
      ->excludes(task)
      ->excludes(labels)
      ->excludes(labels_from)
      ->excludes(instruction);
  command->add_option("--template", options->template_file, "Use this Jinja file instead of the model's chat template");
  command->add_option("-n,--max-tokens", options->evaluate.max_tokens, "Tokens of a generated answer at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--seed", options->evaluate.bootstrap.seed, "Of the intervals' resamples")->capture_default_str();
  command->add_option("--predictions", options->predictions, "Write every answer to this file, as JSON lines");
  command->add_flag("--json", options->json,
                    "Print {\"task\",\"rows\",\"metrics\":{NAME:{\"value\",\"low\",\"high\"}},\"latency_ms\",...}");
  command->footer(
      "classify: {\"text\", \"label\"} rows; the labels are scored, nothing is generated.\n"
      "extract: {\"text\", \"fields\"}; summarize: {\"text\", \"summary\"}; chat: {\"messages\"} or "
      "{\"prompt\", \"completion\"}.\n"
      "Examples:\n"
      "  retort eval smollm2-135m --data test.jsonl --labels-from train.jsonl\n"
      "  retort eval smollm2-135m --adapter sections/adapter.gguf --task-file sections/task.json --data test.jsonl\n"
      "  retort eval model.gguf --data addresses.jsonl --task extract --predictions answers.jsonl --json");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
