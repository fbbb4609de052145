// Bootstrap: how far a metric might be off because these rows were tested and not others.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"

namespace retort::tasks {

/// A metric on all rows, and the ends of its interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
};

struct BootstrapOptions {
  int resamples = 1000;
  uint64_t seed = 1;
  double level = 0.95;
};

/// The q-quantile of values, 0 <= q <= 1, interpolated linearly between neighbours; 0 when there are none.
double quantile(std::vector<double> values, double q);

/// metric(span of rows) and its percentile interval over resamples of the rows with replacement. Efron & Tibshirani,
/// "An Introduction to the Bootstrap" (1993), chapter 13. The same seed gives the same interval everywhere.
template <class Row, class Metric>
Estimate with_interval(std::span<const Row> rows, Metric&& metric, const BootstrapOptions& options = {}) {
  Estimate estimate;
  estimate.value = estimate.low = estimate.high = metric(rows);
  if (rows.empty() || options.resamples < 1) return estimate;
  base::Random random(options.seed);
  std::vector<Row> sample(rows.begin(), rows.end());
  std::vector<double> values(static_cast<size_t>(options.resamples));
  for (double& value : values) {
    for (Row& row : sample) row = rows[random.below(rows.size())];
    value = metric(std::span<const Row>(sample));
  }
  estimate.low = quantile(values, (1 - options.level) / 2);
  estimate.high = quantile(std::move(values), (1 + options.level) / 2);
  return estimate;
}

}  // namespace retort::tasks
