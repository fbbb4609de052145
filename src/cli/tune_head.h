// `retort tune --method head`.
#pragma once

#include "base/result.h"
#include "cli/tune_options.h"

namespace retort::cli {

/// Fits a linear classifier on the frozen model and writes it to OUTPUT/head.gguf; the exit code.
base::Result<int> tune_head(const TuneOptions& options);

}  // namespace retort::cli
