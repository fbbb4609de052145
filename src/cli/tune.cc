#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_path.h"
#include "cli/run_options.h"
#include "cli/tune_head.h"
#include "cli/tune_options.h"
#include "kernels/kernels.h"
#include "tasks/evaluate.h"
#include "training/report.h"
#include "training/trainer.h"

namespace retort::cli {
namespace {

using training::Dataset;

/// Everything that is read before the first step: nothing of it fails later.
struct Inputs {
  std::string model_path;
  std::unique_ptr<formats::GgufFile> file;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<training::TaskPrompt> prompt;
  std::optional<training::PromptFormat> format;
  std::optional<training::RowFile> validation_rows;
  Dataset training, validation;
};

base::Result<Inputs> read_inputs(const TuneOptions& options) {
  Inputs in;
  RETORT_TRY(in.model_path, resolve_model(options.model));
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(in.model_path));
  in.file = std::make_unique<formats::GgufFile>(std::move(file));
  RETORT_TRY(in.tokenizer, text::Tokenizer::load(*in.file));
  RETORT_TRY(training::RowFile rows, training::read_rows(options.data));
  std::optional<training::RowFile>& validation = in.validation_rows;
  if (!options.validation.empty()) {
    RETORT_TRY(validation, training::read_rows(options.validation));
    if (validation->shape != rows.shape)
      return base::fail(fmt::format("{}: rows are {}, those of {} are {}", options.validation, name(validation->shape),
                                    options.data, name(rows.shape)));
  }
  training::TaskKind kind = training::task_of(rows.shape);
  if (!options.task.empty()) {
    RETORT_TRY(kind, training::parse_task(options.task));
  }
  std::vector<std::string> labels;
  if (kind == training::TaskKind::kClassify) {
    labels = training::distinct_answers(rows.rows);
    if (validation) RETORT_TRY_STATUS(training::check_labels(*validation, labels, options.data));
  }
  in.prompt.emplace(kind, options.instruction, labels);
  std::string template_source;
  if (!options.template_file.empty()) {
    RETORT_TRY(template_source, read_input(options.template_file));
  }
  RETORT_TRY(in.format, training::PromptFormat::create(*in.file, *in.tokenizer, template_source));
  RETORT_TRY(in.training, training::make_dataset(rows, *in.prompt, *in.format, options.dataset));
  if (validation) {
    RETORT_TRY(in.validation, training::make_dataset(*validation, *in.prompt, *in.format, options.dataset));
  }
  return in;
}

base::Result<std::unique_ptr<training::Student>> make_student(const TuneOptions& options, const Inputs& in) {
  if (options.method == "full")
    return training::Student::full(*in.file, {options.bfloat16(), options.lora.last_layers});
  if (options.initial_adapter.empty()) return training::Student::lora(*in.file, options.lora);
  formats::BaseIdentity identity = formats::base_identity(*in.file);
  RETORT_TRY(formats::Adapter initial, formats::read_adapter(options.initial_adapter, &identity));
  RETORT_TRY_STATUS(formats::check_base(initial, identity, options.initial_adapter, in.model_path));
  initial.name = options.initial_adapter;
  return training::Student::lora(*in.file, options.lora, &initial);
}

base::Status write_text(const std::string& path, const std::string& text) {
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(text));
  return file.commit();
}

/// The files that the run is for; returns the one to use.
base::Result<std::string> write_outputs(const TuneOptions& options, const training::Student& student,
                                        const std::string& title, const std::string& model_path) {
  if (!student.is_adapter()) {
    std::string path = options.output + "/model.gguf";
    RETORT_TRY_STATUS(student.write_model(path, options.bfloat16() ? tensor::DType::kBF16 : tensor::DType::kF32));
    return path;
  }
  formats::Adapter adapter = student.adapter();
  adapter.name = title;
  std::string path = options.output + "/adapter.gguf";
  RETORT_TRY_STATUS(formats::write_adapter_gguf(adapter, path));
  base::Status peft = formats::write_adapter_peft(adapter, options.output + "/peft", {model_path});
  if (!peft) fmt::print(stderr, "retort: no PEFT copy of the adapter: {}\n", peft.error().message);
  return path;
}

/// Scores the model as it is now on the first validation rows.
base::Result<tasks::Evaluation> score(const Inputs& in, const runtime::Model& model, int64_t most_rows,
                                      const training::Student& student, base::ThreadPool& pool,
                                      const std::atomic<bool>& cancelled,
                                      base::FunctionRef<void(int64_t done, int64_t total)> on_progress) {
  const std::vector<training::Row>& all = in.validation_rows->rows;
  int64_t count = std::min(most_rows, static_cast<int64_t>(all.size()));
  training::RowFile rows{in.validation_rows->path, in.validation_rows->shape, {all.begin(), all.begin() + count}};
  runtime::Runner runner(student.model(), pool);
  tasks::EvaluateOptions settings;
  settings.cancelled = &cancelled;
  return tasks::evaluate(model, runner, rows, *in.prompt, *in.format, settings, on_progress);
}

/// What to measure at each evaluation: the task's scores; nothing without a model, which gives the tokenizer. One that
/// is interrupted counts for nothing.
training::Measure measure_scores(const TuneOptions& options, const Inputs& in, const runtime::Model* model,
                                 const training::Student& student, base::ThreadPool& pool,
                                 const std::atomic<bool>& cancelled) {
  if (model == nullptr || options.eval_rows == 0) return {};
  return [&options, &in, model, &student, &pool,
          &cancelled]() -> base::Result<std::vector<std::pair<std::string, double>>> {
    std::vector<std::pair<std::string, double>> figures;
    auto evaluation = score(in, *model, options.eval_rows, student, pool, cancelled, [](int64_t, int64_t) {});
    if (!evaluation && cancelled) return figures;
    if (!evaluation) return tl::unexpected(evaluation.error());
    for (const tasks::Metric& metric : evaluation->metrics) figures.emplace_back(metric.name, metric.estimate.value);
    return figures;
  };
}

/// Adds the scores and some answers to the report.
void add_score(const tasks::Evaluation& evaluation, const training::RowFile& rows, training::Report& report,
               nlohmann::json& json) {
  constexpr size_t kSamples = 12;
  for (const tasks::Metric& metric : evaluation.metrics) {
    const tasks::Estimate& estimate = metric.estimate;
    report.summary +=
        fmt::format("; {} {:.3f} ({:.3f} to {:.3f})", metric.name, estimate.value, estimate.low, estimate.high);
    json["metrics"][metric.name] = {{"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high}};
  }
  json["metrics"]["rows"] = evaluation.predictions.size();
  for (size_t i = 0; i < std::min(kSamples, evaluation.predictions.size()); ++i)
    report.samples.push_back({rows.rows[i].text, evaluation.predictions[i].expected, evaluation.predictions[i].answer});
}

void print_step(const TuneOptions& options, const training::LogRow& row, int64_t total, base::Progress& progress,
                bool terminal) {
  double validation = row.value(training::kValidationLoss);
  if (options.json)
    fmt::print("{}", training::to_json_line(row));
  else if (!std::isnan(validation)) {
    std::string scores;  // follow the loss
    auto value = std::ranges::find(row.values, training::kValidationLoss, &std::pair<std::string, double>::first);
    while (++value != row.values.end()) scores += fmt::format(", {} {:.3f}", value->first, value->second);
    fmt::print(stderr, "{}step {} of {}: loss {:.4f}, validation loss {:.4f}{}, {:.0f} tokens/s, {} MiB\n",
               terminal ? "\r\033[K" : "", row.step, total, row.value(training::kLoss), validation, scores,
               row.value(training::kTokensPerSecond), peak_rss_bytes() >> 20);
  }
  progress.set_note(fmt::format("loss {:.3f}  {:.0f} tokens/s  {} MiB", row.value(training::kLoss),
                                row.value(training::kTokensPerSecond), peak_rss_bytes() >> 20));
  progress.update(static_cast<uint64_t>(row.step), static_cast<uint64_t>(total));
}

base::Result<int> run(const TuneOptions& options) {
  if (!kernels::active_error().empty()) return base::fail(std::string(kernels::active_error()));
  if (options.method == "head") return tune_head(options);
  RETORT_TRY(Inputs in, read_inputs(options));
  std::error_code error;
  std::filesystem::create_directories(options.output, error);
  if (error) return base::fail(fmt::format("{}: cannot make the folder: {}", options.output, error.message()));
  if (!options.trainer.resume && std::filesystem::exists(options.output + "/checkpoint.bin"))
    return base::fail(
        fmt::format("{}: holds a run already: continue it with --resume, or choose another folder", options.output));
  fmt::print(stderr, "{}\n", in.training.summary());
  if (!in.validation.examples.empty()) fmt::print(stderr, "validation: {}\n", in.validation.summary());
  RETORT_TRY(std::unique_ptr<training::Student> student, make_student(options, in));
  RETORT_TRY_STATUS(write_text(options.output + "/task.json", in.prompt->to_json() + "\n"));

  base::ThreadPool pool(options.threads);
  InterruptGuard interrupt;
  training::TrainerOptions settings = options.trainer_options(*student, in.model_path);
  settings.cancelled = &interrupt.flag();
  std::unique_ptr<runtime::Model> scored;
  if (in.validation_rows && (options.eval_rows > 0 || options.score_rows > 0)) {
    RETORT_TRY(scored, runtime::Model::load(in.model_path));
  }
  settings.measure = measure_scores(options, in, scored.get(), *student, pool, interrupt.flag());
  std::optional<base::Progress> activations;
  settings.on_activations = [&](int64_t done, int64_t total) {
    if (!activations) activations.emplace("frozen layers", base::ProgressUnit::kItems, "rows");
    activations->update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    if (done == total) activations.reset();
  };
  training::Trainer trainer(*student, pool, in.training, in.validation, options.output, settings);
  fmt::print(stderr, "training {} parameters\n", student->num_parameters());
  base::Result<training::TrainingSummary> summary = [&] {
    base::Progress progress("tune", base::ProgressUnit::kItems, "steps");
    bool terminal = isatty(STDERR_FILENO) != 0;
    return trainer.run(
        [&](const training::LogRow& row, int64_t total) { print_step(options, row, total, progress, terminal); });
  }();
  if (!summary) return tl::unexpected(summary.error());
  if (summary->cancelled) {
    fmt::print(stderr, "retort: interrupted after step {}: the same command with --resume continues\n",
               summary->progress.step);
    return kInterrupted;
  }
  std::string title = fmt::format("{} on {}", std::filesystem::path(in.model_path).filename().string(),
                                  std::filesystem::path(options.data).filename().string());
  RETORT_TRY(std::string result, write_outputs(options, *student, title, in.model_path));

  const training::Progress& progress = summary->progress;
  training::Report report;
  report.title = title;
  report.summary = fmt::format("{} steps, {} tokens, {:.0f} s; loss {:.4f}", progress.step, progress.tokens,
                               progress.seconds, summary->last_loss);
  if (progress.best_loss)
    report.summary += fmt::format("; best validation loss {:.4f} at step {}", *progress.best_loss, progress.best_step);
  nlohmann::json json = {{"output", result},
                         {"steps", progress.step},
                         {"tokens", progress.tokens},
                         {"seconds", progress.seconds},
                         {"tokens_per_s", summary->tokens_per_s},
                         {"loss", summary->last_loss},
                         {"parameters", student->num_parameters()},
                         {"layers_kept", summary->blocks_kept},
                         {"layers_cached", summary->layers_cached},
                         {"stopped_early", summary->stopped_early},
                         {"peak_rss_bytes", peak_rss_bytes()}};
  if (progress.best_loss) json["best_validation_loss"] = *progress.best_loss;
  if (scored != nullptr && options.score_rows > 0) {
    base::Progress bar("score", base::ProgressUnit::kItems, "rows");
    RETORT_TRY(
        tasks::Evaluation evaluation,
        score(in, *scored, options.score_rows, *student, pool, interrupt.flag(), [&](int64_t done, int64_t total) {
          bar.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
        }));
    add_score(evaluation, *in.validation_rows, report, json);
  }
  report.settings = settings.settings;
  report.machine = training::describe_machine(pool.num_threads(), std::string(kernels::active().name));
  report.rows = trainer.rows();
  RETORT_TRY_STATUS(training::write_report(options.output + "/report.html", report));

  if (options.json)
    fmt::print("{}\n", json.dump());
  else
    fmt::print("{}\n{}, {:.0f} tokens/s, {} MiB\n", result, report.summary, summary->tokens_per_s,
               peak_rss_bytes() >> 20);
  return kDone;
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App* command = app.add_subcommand("tune", "Fine-tune a model on rows of data");
  add_tune_options(*command, *options);
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
