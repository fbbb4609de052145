// Schedule: the learning rate of every step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace retort::training {

/// What the rate does after the warm-up: stays, or falls to zero on a line or on half a cosine.
enum class ScheduleKind : uint8_t { kConstant, kLinear, kCosine };

/// "constant", "linear", "cosine".
std::string_view name(ScheduleKind kind);
std::optional<ScheduleKind> schedule_from_name(std::string_view name);

/// The rate rises on a line over `warmup_steps` steps, reaches `peak` at the last of them, then follows `kind` until
/// `total_steps`. Step numbers start at 0. The last step still learns: zero would be reached one step after it.
struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;

  /// The rate of `step`, 0 <= step < total_steps; later steps of a falling schedule have rate 0.
  double at(int64_t step) const;
};

/// A rate to begin with. Adapters: 2e-4 for models of about 3300 values a token, as is customary for those, and more
/// for narrower ones, in proportion to the width's power of -0.8: 8e-4 for SmolLM2-135M, better than 4e-4 on the
/// development rows of one task (docs/training.md). Whole models: 2e-4.
double default_learning_rate(bool adapter, int64_t model_dim);

}  // namespace retort::training
