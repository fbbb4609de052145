#include "tasks/evaluate_head.h"

#include <algorithm>
#include <chrono>

#include "tasks/bootstrap.h"

namespace retort::tasks {

base::Result<Evaluation> evaluate_head(const runtime::Model& model, base::ThreadPool& pool, const training::Head& head,
                                       const training::RowFile& file, const EvaluateOptions& options,
                                       base::FunctionRef<void(int64_t done, int64_t total)> on_progress) {
  using Clock = std::chrono::steady_clock;
  RETORT_TRY_STATUS(training::check_labels(file, head.labels, "the head"));
  Evaluation evaluation;
  evaluation.kind = training::TaskKind::kClassify;
  evaluation.labels = head.labels;
  graph::Workspace workspace(pool, kernels::active());
  std::vector<Choice> choices;
  std::vector<double> latencies;
  double total_ms = 0;
  int64_t tokens = 0;
  for (const training::Row& row : file.rows) {
    if (options.cancelled != nullptr && options.cancelled->load()) return base::fail(std::string(kCancelled));
    auto start = Clock::now();
    std::vector<float> features =
        training::text_features(model.network(), model.tokenizer(), workspace, {&row.text, 1}, head.max_tokens);
    Prediction prediction;
    prediction.line = row.line;
    prediction.expected = row.answer;
    prediction.probabilities = head.probabilities(features);
    prediction.latency_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    auto best = std::max_element(prediction.probabilities.begin(), prediction.probabilities.end());
    auto expected = std::lower_bound(head.labels.begin(), head.labels.end(), row.answer) - head.labels.begin();
    auto predicted = best - prediction.probabilities.begin();
    prediction.answer = head.labels[static_cast<size_t>(predicted)];
    choices.push_back({static_cast<int32_t>(expected), static_cast<int32_t>(predicted), *best});
    latencies.push_back(prediction.latency_ms);
    total_ms += prediction.latency_ms;
    tokens += std::min<int64_t>(head.max_tokens, static_cast<int64_t>(model.tokenizer().encode(row.text).size()));
    evaluation.predictions.push_back(std::move(prediction));
    on_progress(static_cast<int64_t>(evaluation.predictions.size()), static_cast<int64_t>(file.rows.size()));
  }
  evaluation.latency_p50_ms = quantile(latencies, 0.5);
  evaluation.latency_p99_ms = quantile(latencies, 0.99);
  evaluation.tokens_per_s = total_ms > 0 ? static_cast<double>(tokens) * 1000 / total_ms : 0;
  add_choice_metrics(evaluation, choices, options.bootstrap);
  return evaluation;
}

}  // namespace retort::tasks
