// Evaluates a linear classifier on a frozen model's features (training/head.h).
#pragma once

#include <cstdint>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "runtime/model.h"
#include "tasks/evaluate.h"
#include "training/head.h"
#include "training/rows.h"

namespace retort::tasks {

/// One row at a time, as when serving. Fails when a row's label is not one of the head's, or `cancelled`.
base::Result<Evaluation> evaluate_head(const runtime::Model& model, base::ThreadPool& pool, const training::Head& head,
                                       const training::RowFile& file, const EvaluateOptions& options,
                                       base::FunctionRef<void(int64_t done, int64_t total)> on_progress);

}  // namespace retort::tasks
