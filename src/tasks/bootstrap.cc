#include "tasks/bootstrap.h"

#include <algorithm>
#include <cmath>

namespace retort::tasks {

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  double at = q * static_cast<double>(values.size() - 1);
  auto below = static_cast<size_t>(std::floor(at));
  size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - std::floor(at)) * (values[above] - values[below]);
}

}  // namespace retort::tasks
