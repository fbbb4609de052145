// Evaluation: what a model scored on the rows of a file, and every single answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/bootstrap.h"
#include "training/task_prompt.h"

namespace retort::tasks {

/// A model's answer to one row.
struct Prediction {
  int64_t line = 0;                   // of the row in its file
  std::string expected;               // the label, fields, summary or reply of the row
  std::string answer;                 // the model's, without space around it
  std::vector<double> probabilities;  // of classification: in the order of Evaluation::labels
  double latency_ms = 0;              // rendering, tokenizing and computing
};

struct Metric {
  std::string name;  // "accuracy", "macro_f1", ...: docs/evaluation.md
  Estimate estimate;
};

struct Evaluation {
  training::TaskKind kind = training::TaskKind::kChat;
  std::vector<Prediction> predictions;  // in the file's order
  std::vector<Metric> metrics;
  double latency_p50_ms = 0, latency_p99_ms = 0;
  double tokens_per_s = 0;          // prompt tokens computed (what rows share counts once) and answer tokens
  std::vector<int64_t> shortened;   // lines whose text was cut to fit the context
  std::vector<std::string> labels;  // of classification, sorted
  std::vector<int64_t> confusion;   // (expected, predicted) of labels, row-major

  /// The estimate of a metric; null when the task does not have it.
  const Estimate* find(std::string_view name) const;
};

/// {"task", "rows", "shortened", "metrics": {NAME: {"value", "low", "high"}}, "latency_ms": {"p50", "p99"},
/// "tokens_per_s", "confusion": {"labels", "counts"}}, the last of classification alone; one line, without its end.
std::string to_json(const Evaluation& evaluation);

/// {"line", "expected", "answer", "latency_ms", "probabilities": {LABEL: P}}, the last of classification alone.
std::string to_json(const Prediction& prediction, const std::vector<std::string>& labels);

}  // namespace retort::tasks
