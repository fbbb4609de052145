#include "cli/tune_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

namespace retort::cli {
namespace {

/// "600M", "2.5G", or bytes.
int64_t parse_bytes(const std::string& text) {
  size_t used = 0;
  double number = -1;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
  }
  std::string unit = text.substr(std::min(used, text.size()));
  double factor = unit.empty() ? 1 : unit == "M" ? 1 << 20 : unit == "G" ? 1 << 30 : -1;
  if (number <= 0 || factor < 0)
    throw CLI::ValidationError("--memory", "expected a size such as 600M or 2G, got " + text);
  return static_cast<int64_t>(number * factor);
}

}  // namespace

void add_tune_options(CLI::App& command, TuneOptions& options) {
  training::TrainerOptions& trainer = options.trainer;
  command.add_option("model", options.model, "GGUF file or catalogue name")->required();
  command.add_option("--data", options.data, "Training rows: JSON lines or CSV")->required();
  command.add_option("--output", options.output, "Folder for the adapter, the log and the report")->required();
  command.add_option("--validation", options.validation, "Rows to measure on; the best parameters on them are kept");
  command
      .add_option("--method", options.method,
                  "lora: low-rank adapters on the frozen model; full: every weight; head: a linear "
                  "classifier on its last hidden states, in seconds")
      ->check(CLI::IsMember({"lora", "full", "head"}))
      ->capture_default_str();
  command.add_flag("--resume", trainer.resume, "Continue a run that was stopped, with the same options");
  command.add_option("--task", options.task, "What to ask for; default: what the rows are for")
      ->check(CLI::IsMember({"classify", "extract", "summarize", "chat"}));
  command.add_option("--instruction", options.instruction,
                     "Tell the model this; {labels} stands for the labels; \"\": nothing");
  command.add_option("--template", options.template_file, "Use this Jinja file instead of the model's chat template");

  command.add_option("--rank", options.lora.rank, "Of adapters")->check(CLI::Range(1, 1024))->capture_default_str();
  command.add_option("--alpha", options.lora.alpha, "Adapters are scaled by alpha / rank")->capture_default_str();
  command.add_option("--dropout", trainer.dropout, "Share of adapters' inputs left out")->check(CLI::Range(0.0, 0.95));
  command
      .add_option("--targets", options.lora.targets, "Products that get adapters, with commas; default: all of them")
      ->delimiter(',');
  command.add_option("--last-layers", options.lora.last_layers, "Train only the last so many layers; 0: all")
      ->check(CLI::Range(0, 10000));
  command.add_option("--init-adapter", options.initial_adapter, "Start from this adapter, and its targets and rank");

  command.add_option("--epochs", trainer.epochs, "Times to go through the data")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--max-steps", trainer.max_steps, "Stop after so many steps")->check(CLI::NonNegativeNumber);
  command.add_option("--batch", trainer.batch.max_examples, "Rows of a step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--batch-tokens", trainer.batch.max_tokens, "Tokens of a step at most")
      ->check(CLI::PositiveNumber);
  command.add_option("--pass-tokens", trainer.pass_tokens, "Tokens computed at a time; a step's passes add up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--lr", options.learning_rate,
                  "Highest learning rate; default: for lora by the model's width (8e-4 for SmolLM2-135M), else 2e-4")
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<std::string>(
          "--schedule", [&trainer](const std::string& text) { trainer.schedule = *training::schedule_from_name(text); },
          "Of the learning rate after the warm-up: cosine, linear or constant")
      ->check(CLI::IsMember({"cosine", "linear", "constant"}))
      ->default_str("cosine");
  command.add_option("--warmup", trainer.warmup, "Share of the steps in which the rate rises")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--weight-decay", trainer.adamw.weight_decay, "Of AdamW")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--clip", trainer.clip, "Limit of the gradient's norm; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--seed", trainer.batch.seed, "Of every random choice")->capture_default_str();
  command.add_flag("!--no-shuffle", trainer.batch.shuffle, "Take the rows in the file's order");
  command.add_option("--precision", options.precision, "Of matrix products that are trained through")
      ->check(CLI::IsMember({"bf16", "fp32"}))
      ->capture_default_str();

  command.add_option("--max-tokens", options.dataset.max_tokens, "Of a row")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--over-long",
          [&options](const std::string& text) { options.dataset.over_long = *training::parse_over_long(text); },
          "Rows with more: truncate the text, skip them, or stop")
      ->check(CLI::IsMember({"skip", "truncate", "stop"}))
      ->default_str("truncate");
  command.add_option("--eval-every", trainer.evaluate_every, "Steps between measurements; 0: one each epoch")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--score-rows", options.score_rows, "Validation rows whose answers are scored at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--eval-rows", options.eval_rows,
                  "Validation rows whose answers are scored at each measurement, beside the loss of all; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--patience", trainer.patience, "Stop after so many measurements without improvement; 0: never")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--checkpoint-every", trainer.checkpoint_every, "Steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option_function<std::string>(
      "--memory", [&options](const std::string& text) { options.memory_bytes = parse_bytes(text); },
      "Stay within about this much, such as 600M: layers are computed twice to save it");
  command
      .add_option_function<std::string>(
          "--cache-activations",
          [&trainer](const std::string& text) {
            trainer.activation_cache = text == "on"    ? training::ActivationCache::kOn
                                       : text == "off" ? training::ActivationCache::kOff
                                                       : training::ActivationCache::kAuto;
          },
          "Compute the layers below --last-layers once and keep what they give on disk: auto does when rows are "
          "used more than once and there is room")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->default_str("auto");
  command.add_option("--threads", options.threads, "Threads; 0: one per processor")->check(CLI::Range(0, 1024));
  command.add_flag("--json", options.json, "Print each step, then the result, as JSON lines");
  command.footer(
      "Rows are {\"text\",\"label\"}, {\"text\",\"fields\"}, {\"text\",\"summary\"}, {\"prompt\",\"completion\"}, or "
      "OpenAI's "
      "{\"messages\"}; the loss counts answers only. The folder gets adapter.gguf (also for llama.cpp), peft/ (for "
      "PEFT), "
      "task.json, metrics.jsonl, TensorBoard events and report.html. Ctrl-C leaves a state that --resume continues.\n"
      "Examples:\n"
      "  retort tune smollm2-135m --data train.jsonl --validation dev.jsonl --output sections\n"
      "  retort tune smollm2-135m --data train.jsonl --output sections --resume\n"
      "  retort run smollm2-135m --adapter sections/adapter.gguf -p \"...\"");
}

training::TrainerOptions TuneOptions::trainer_options(const training::Student& student,
                                                      const std::string& model_path) const {
  training::TrainerOptions result = trainer;
  result.learning_rate = learning_rate.value_or(
      training::default_learning_rate(student.is_adapter(), student.model().hyperparameters().model_dim));
  result.precision = bfloat16() ? kernels::Precision::kBfloat16 : kernels::Precision::kFloat32;
  if (memory_bytes > 0) {
    // What is there anyway: the mapped file, the parameters with gradient and moments, and some working memory.
    int64_t fixed =
        static_cast<int64_t>(student.file().file_bytes()) + 16 * student.num_parameters() + (int64_t{96} << 20);
    result.activation_bytes = std::max<int64_t>(0, memory_bytes - fixed);
  }
  formats::BaseIdentity base = formats::base_identity(student.file());
  result.settings = {{"model", model_path.substr(model_path.rfind('/') + 1)},
                     {"architecture", base.architecture},
                     {"shape", base.shape},
                     {"tokenizer", base.tokenizer_hash.substr(0, 16)},
                     {"data", data},
                     {"validation", validation},
                     {"method", method},
                     {"max_tokens", std::to_string(dataset.max_tokens)}};
  if (method == "lora") {
    result.settings.emplace_back("rank", std::to_string(lora.rank));
    result.settings.emplace_back("alpha", fmt::format("{}", lora.alpha));
    result.settings.emplace_back("targets",
                                 lora.targets.empty() ? "all" : fmt::format("{}", fmt::join(lora.targets, ",")));
    result.settings.emplace_back("initial", initial_adapter);
  }
  result.settings.emplace_back("last_layers", std::to_string(lora.last_layers));
  return result;
}

}  // namespace retort::cli
