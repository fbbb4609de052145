// Options of `retort tune`.
#pragma once

#include <optional>
#include <string>

#include "training/dataset.h"
#include "training/student.h"
#include "training/trainer.h"

namespace CLI {
class App;
}

namespace retort::cli {

struct TuneOptions {
  std::string model, data, validation, output, task, template_file, initial_adapter;
  std::string method = "lora", precision = "bf16";
  std::optional<std::string> instruction;
  training::DatasetOptions dataset;
  training::LoraOptions lora;
  training::TrainerOptions trainer;
  std::optional<double> learning_rate;  // unset: default_learning_rate()
  int64_t memory_bytes = 0;             // that the process should stay within; 0: not said
  int64_t score_rows = 200;             // of the validation data, on which the tuned model is scored
  int64_t eval_rows = 50;               // of them, at each measurement while it is tuned
  int threads = 0;
  bool json = false;

  bool bfloat16() const { return precision == "bf16"; }

  /// What the trainer is given, with the settings that a resumed run must share.
  training::TrainerOptions trainer_options(const training::Student& student, const std::string& model_path) const;
};

void add_tune_options(CLI::App& command, TuneOptions& options);

}  // namespace retort::cli
