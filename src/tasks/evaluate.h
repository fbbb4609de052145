// Evaluate: asks a model for the answer to every row of a file and compares.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/function_ref.h"
#include "base/result.h"
#include "runtime/model.h"
#include "runtime/runner.h"
#include "tasks/evaluation.h"
#include "tasks/metrics.h"
#include "training/prompt_format.h"
#include "training/rows.h"
#include "training/task_prompt.h"

namespace retort::tasks {

struct EvaluateOptions {
  int64_t max_tokens = 256;  // of a generated answer
  int64_t context = 0;       // positions for a prompt and its answer; 0: what the rows need, at most what was trained
  kernels::KvType kv_type = kernels::KvType::kF16;
  BootstrapOptions bootstrap;
  const std::atomic<bool>* cancelled = nullptr;  // checked before every row and generated token
};

/// The message of the error that a cancelled evaluation ends with.
inline constexpr std::string_view kCancelled = "cancelled";

/// Classification scores the prompt's labels (LabelScorer); all other tasks generate greedily until the model ends its
/// answer. Prompts are those of training (TaskPrompt, PromptFormat); a text too long for the context is shortened as
/// there. `runner` runs the network that is tested, `model` gives its tokenizer: a trainer passes a runner over weights
/// in training.
/// Fails before anything is computed, with file, line and reason, when the rows are of another shape than the task's,
/// carry a label that the prompt does not have, or cannot be rendered or compared.
base::Result<Evaluation> evaluate(const runtime::Model& model, runtime::Runner& runner, const training::RowFile& file,
                                  const training::TaskPrompt& prompt, const training::PromptFormat& format,
                                  const EvaluateOptions& options,
                                  base::FunctionRef<void(int64_t done, int64_t total)> on_progress);

/// Adds the metrics and the confusion table of classified rows.
void add_choice_metrics(Evaluation& evaluation, std::span<const Choice> rows, const BootstrapOptions& bootstrap);

}  // namespace retort::tasks
