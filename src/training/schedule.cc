#include "training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retort::training {

std::string_view name(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::kConstant:
      return "constant";
    case ScheduleKind::kLinear:
      return "linear";
    case ScheduleKind::kCosine:
      break;
  }
  return "cosine";
}

std::optional<ScheduleKind> schedule_from_name(std::string_view text) {
  for (ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine})
    if (text == name(kind)) return kind;
  return std::nullopt;
}

double default_learning_rate(bool adapter, int64_t model_dim) {
  return adapter ? 8e-4 * std::pow(static_cast<double>(model_dim) / 576, -0.8) : 2e-4;
}

double Schedule::at(int64_t step) const {
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (kind == ScheduleKind::kConstant) return peak;
  auto falling = static_cast<double>(std::max<int64_t>(total_steps - warmup_steps, 1));
  double progress = std::min(static_cast<double>(step - warmup_steps) / falling, 1.0);
  return kind == ScheduleKind::kLinear ? peak * (1 - progress)
                                       : peak * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace retort::training
