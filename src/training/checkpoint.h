// Checkpoints: everything a training run needs to continue as if it had never stopped, in one checksummed file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace retort::training {

/// Where a run stands. The order of the data and every random choice are functions of the settings' seed and of these
/// numbers, so no generator state needs keeping.
struct Progress {
  int64_t step = 0;                 // optimizer steps done
  int64_t epoch = 0;                // of the next step
  int64_t step_in_epoch = 0;        // of the next step
  int64_t tokens = 0;               // trained on so far
  double seconds = 0;               // spent training so far
  std::optional<double> best_loss;  // lowest validation loss
  int64_t best_step = 0;            // when it was measured
  int64_t evaluations_since_best = 0;
};

/// What must be the same for a run to continue: names and values, in a fixed order.
using Settings = std::vector<std::pair<std::string, std::string>>;

/// A named array of the state: a parameter or a moment. Not owned.
struct CheckpointArray {
  std::string name;
  std::span<float> values;
};

/// Writes the file atomically: after a failure or a crash at any moment, the old one is whole.
///
/// Layout, little-endian: "RETORTCK", u32 version, u32 bytes of the header, the header as JSON (progress, settings,
/// names and sizes of the arrays), u32 CRC-32C of all that; then each array's fp32 values and their u32 CRC-32C.
base::Status save_checkpoint(const std::string& path, const Progress& progress, const Settings& settings,
                             std::span<const CheckpointArray> arrays);

/// Reads a file back into `arrays`, which are changed only when all of it is sound. Fails, saying what to do, when the
/// file is cut short or damaged (naming the part), of another version, from a run with other settings (naming those
/// that differ, with both values), or holds other arrays.
base::Result<Progress> load_checkpoint(const std::string& path, const Settings& settings,
                                       std::span<const CheckpointArray> arrays);

}  // namespace retort::training
