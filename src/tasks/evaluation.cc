#include "tasks/evaluation.h"

#include <nlohmann/json.hpp>

namespace retort::tasks {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

const Estimate* Evaluation::find(std::string_view name) const {
  for (const Metric& metric : metrics)
    if (metric.name == name) return &metric.estimate;
  return nullptr;
}

std::string to_json(const Evaluation& evaluation) {
  Json metrics = Json::object();
  for (const Metric& metric : evaluation.metrics)
    metrics[metric.name] = {
        {"value", metric.estimate.value}, {"low", metric.estimate.low}, {"high", metric.estimate.high}};
  Json object = {{"task", name(evaluation.kind)},
                 {"rows", evaluation.predictions.size()},
                 {"shortened", evaluation.shortened.size()},
                 {"metrics", std::move(metrics)},
                 {"latency_ms", {{"p50", evaluation.latency_p50_ms}, {"p99", evaluation.latency_p99_ms}}},
                 {"tokens_per_s", evaluation.tokens_per_s}};
  if (!evaluation.confusion.empty()) {
    Json counts = Json::array();
    size_t size = evaluation.labels.size();
    for (size_t i = 0; i < size; ++i)
      counts.push_back(
          std::vector<int64_t>(evaluation.confusion.begin() + static_cast<std::ptrdiff_t>(i * size),
                               evaluation.confusion.begin() + static_cast<std::ptrdiff_t>((i + 1) * size)));
    object["confusion"] = {{"labels", evaluation.labels}, {"counts", std::move(counts)}};
  }
  return dump(object);
}

std::string to_json(const Prediction& prediction, const std::vector<std::string>& labels) {
  Json object = {{"line", prediction.line},
                 {"expected", prediction.expected},
                 {"answer", prediction.answer},
                 {"latency_ms", prediction.latency_ms}};
  for (size_t i = 0; i < prediction.probabilities.size(); ++i)
    object["probabilities"][labels[i]] = prediction.probabilities[i];
  return dump(object);
}

}  // namespace retort::tasks
