#include "tasks/metrics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/check.h"

namespace retort::tasks {
namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

/// Deeper answers count as no JSON: the library's flatten() recurses.
constexpr int kMaxDepth = 64;

nlohmann::json parse_object(std::string_view text) {
  bool deep = false;
  auto limit = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    deep = deep || depth > kMaxDepth;
    return !deep;
  };
  nlohmann::json value = nlohmann::json::parse(text.begin(), text.end(), limit, false);
  return deep || !value.is_object() ? nlohmann::json() : value;
}

}  // namespace

double accuracy(std::span<const Choice> rows) {
  auto right = std::count_if(rows.begin(), rows.end(), [](const Choice& row) { return row.expected == row.predicted; });
  return ratio(static_cast<double>(right), static_cast<double>(rows.size()));
}

double macro_f1(std::span<const Choice> rows) {
  int32_t num_labels = 0;
  for (const Choice& row : rows) num_labels = std::max({num_labels, row.expected + 1, row.predicted + 1});
  struct Counts {
    int64_t expected = 0, predicted = 0, right = 0;
  };
  std::vector<Counts> labels(static_cast<size_t>(num_labels));
  for (const Choice& row : rows) {
    ++labels[static_cast<size_t>(row.expected)].expected;
    ++labels[static_cast<size_t>(row.predicted)].predicted;
    if (row.expected == row.predicted) ++labels[static_cast<size_t>(row.expected)].right;
  }
  double sum = 0, seen = 0;
  for (const Counts& label : labels) {
    auto both = static_cast<double>(label.expected + label.predicted);
    if (both == 0) continue;
    sum += 2 * static_cast<double>(label.right) / both;
    ++seen;
  }
  return ratio(sum, seen);
}

double calibration_error(std::span<const Choice> rows, int bins) {
  RETORT_CHECK(bins >= 1);
  // |sum of (right - confidence)| of a bin is its size times the gap.
  std::vector<double> gaps(static_cast<size_t>(bins));
  for (const Choice& row : rows) {
    int bin = static_cast<int>(std::ceil(row.confidence * bins)) - 1;
    gaps[static_cast<size_t>(std::clamp(bin, 0, bins - 1))] +=
        (row.expected == row.predicted ? 1.0 : 0.0) - row.confidence;
  }
  double sum = 0;
  for (double gap : gaps) sum += std::abs(gap);
  return ratio(sum, static_cast<double>(rows.size()));
}

std::vector<int64_t> confusion(std::span<const Choice> rows, int32_t num_labels) {
  std::vector<int64_t> counts(static_cast<size_t>(num_labels) * static_cast<size_t>(num_labels));
  for (const Choice& row : rows) {
    RETORT_CHECK(std::max(row.expected, row.predicted) < num_labels);
    ++counts[static_cast<size_t>(row.expected) * static_cast<size_t>(num_labels) + static_cast<size_t>(row.predicted)];
  }
  return counts;
}

FieldCounts compare_fields(std::string_view expected, std::string_view answer) {
  nlohmann::json wanted = parse_object(expected), got = parse_object(answer);
  auto flat = [](const nlohmann::json& object) {
    return object.is_object() && !object.empty() ? object.flatten() : nlohmann::json::object();
  };
  nlohmann::json wanted_fields = flat(wanted), got_fields = flat(got);
  FieldCounts counts;
  counts.expected = static_cast<int64_t>(wanted_fields.size());
  counts.predicted = static_cast<int64_t>(got_fields.size());
  for (const auto& [path, value] : wanted_fields.items()) {
    auto found = got_fields.find(path);
    if (found != got_fields.end() && *found == value) ++counts.matched;
  }
  counts.valid = got.is_object();
  counts.exact = counts.valid && got == wanted;
  return counts;
}

double field_f1(std::span<const FieldCounts> rows) {
  int64_t matched = 0, both = 0;
  for (const FieldCounts& row : rows) {
    matched += row.matched;
    both += row.expected + row.predicted;
  }
  return ratio(2 * static_cast<double>(matched), static_cast<double>(both));
}

double mean(std::span<const double> values) {
  return ratio(std::accumulate(values.begin(), values.end(), 0.0), static_cast<double>(values.size()));
}

}  // namespace retort::tasks
