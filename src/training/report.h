// Report: one self-contained HTML page about a training run: curves, settings, sample predictions, the machine.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "training/run_log.h"

namespace retort::training {

/// One row of the validation data: what was asked, what is right, and what the trained model says.
struct Sample {
  std::string prompt, expected, answer;
};

struct Report {
  std::string title;
  std::string summary;  // one sentence: how it ended
  std::vector<std::pair<std::string, std::string>> settings, machine;
  std::vector<LogRow> rows;  // as in metrics.jsonl; see kLoss and its neighbours for the names that are drawn
  std::vector<Sample> samples;
};

/// Names of the figures in rows: per step, then per evaluation.
inline constexpr const char* kLoss = "loss";
inline constexpr const char* kLearningRate = "learning_rate";
inline constexpr const char* kTokensPerSecond = "tokens_per_s";
inline constexpr const char* kGradientNorm = "gradient_norm";
inline constexpr const char* kTokens = "tokens";
inline constexpr const char* kEpoch = "epoch";
inline constexpr const char* kValidationLoss = "validation_loss";

/// The page: no scripts, no external resources, light and dark. All text is escaped.
std::string to_html(const Report& report);

/// Writes the page atomically.
base::Status write_report(const std::string& path, const Report& report);

/// What this machine is, for `machine`: processor, threads, memory, kernels, operating system.
std::vector<std::pair<std::string, std::string>> describe_machine(int num_threads, const std::string& kernels);

}  // namespace retort::training
