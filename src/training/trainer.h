// Trainer: runs optimizer steps over a dataset, measures as it goes, and survives being stopped at any moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "training/checkpoint.h"
#include "training/dataset.h"
#include "training/frozen_activations.h"
#include "training/run_log.h"
#include "training/schedule.h"
#include "training/student.h"

namespace retort::training {

/// Figures of the validation data besides its loss, by name.
using Measure = std::function<base::Result<std::vector<std::pair<std::string, double>>>()>;

/// Whether what frozen lower layers compute is kept on disk (FrozenActivations).
enum class ActivationCache : uint8_t {
  kAuto,  // when it pays: each row is used more than once, and the folder has twice the room
  kOn,
  kOff,
};

struct TrainerOptions {
  double epochs = 3;
  int64_t max_steps = 0;      // at most; 0: as many as the epochs have
  BatchOptions batch;         // of one optimizer step
  int64_t pass_tokens = 512;  // tokens of one forward and backward pass; gradients of a step's passes are summed
  ScheduleKind schedule = ScheduleKind::kCosine;
  double learning_rate = 2e-4;  // default_learning_rate() knows better
  double warmup = 0.03;         // share of all steps
  AdamWOptions adamw;
  double clip = 1;             // limit of the gradient's norm; 0: none
  double dropout = 0;          // of adapters' inputs
  int64_t evaluate_every = 0;  // steps; 0: at the end of each epoch
  Measure measure;             // called at each evaluation, unless empty: a task's scores, for the log and the report
  int64_t checkpoint_every = 50;
  int64_t patience = 0;  // evaluations without improvement before the run ends; 0: never
  kernels::Precision precision = kernels::Precision::kBfloat16;
  int64_t activation_bytes = int64_t{330} << 20;  // that the backward pass may keep; layers beyond are computed again
  ActivationCache activation_cache = ActivationCache::kAuto;
  std::function<void(int64_t done, int64_t total)>
      on_activations;  // examples whose frozen layers are computed, if kept
  bool resume = false;
  Settings settings;  // what must be the same on resuming, besides what is in here
  const std::atomic<bool>* cancelled = nullptr;
};

/// How a run ended.
struct TrainingSummary {
  Progress progress;
  int64_t total_steps = 0;
  double last_loss = 0;  // mean of the last steps
  double tokens_per_s = 0;
  int64_t blocks_kept = 0;
  int64_t layers_cached = 0;  // frozen layers whose activations were kept on disk
  bool stopped_early = false, cancelled = false;
};

/// Files in `folder`: checkpoint.bin (the state, to continue), best.bin (the parameters with the lowest validation
/// loss), metrics.jsonl and TensorBoard events. Everything is computed in an order that does not depend on threads, so
/// that a run that was killed and resumed ends with the same bits. Not thread-safe.
class Trainer {
 public:
  /// `validation` may be empty; all references must outlive the trainer.
  Trainer(Student& student, base::ThreadPool& pool, const Dataset& training, const Dataset& validation,
          std::string folder, TrainerOptions options);

  /// Trains to the end, or until cancelled, which leaves a checkpoint of the last step. `on_step` gets each row that is
  /// logged. Afterwards the student's parameters are the best (those of the last step without validation data). Fails
  /// when a file cannot be written or read, when a checkpoint is of another run, and when the loss is not a number.
  base::Result<TrainingSummary> run(const std::function<void(const LogRow&, int64_t total_steps)>& on_step);

  const std::vector<LogRow>& rows() const { return log_.rows(); }

  /// Mean loss per learned token, without training. Fails when kept activations cannot be read.
  base::Result<double> evaluate(const Dataset& dataset);

 private:
  /// Whether a pass computes once what its examples begin with; not with dropout, which is to differ among them.
  bool shares(bool training) const { return !training || options_.dropout == 0; }
  /// The sum of the examples' losses; with `training`, their gradients times `gradient_scale` are added up.
  base::Result<double> run_pass(const Dataset& dataset, std::span<const int64_t> examples,
                                const graph::Training* training, float gradient_scale);
  /// Cuts a step's examples into passes of pass_tokens rows, a longer example alone.
  std::vector<std::vector<int64_t>> passes(const Dataset& dataset, std::span<const int64_t> examples,
                                           bool training) const;
  base::Result<double> step(std::span<const int64_t> batch, int64_t number);
  void plan_memory();
  /// How many frozen layers are to be kept on disk: all or none.
  base::Result<int64_t> plan_cache() const;
  base::Status fill_cache();
  graph::Rounding rounding() const;
  bool cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }
  base::Status checkpoint(const Progress& progress);
  base::Status evaluate_and_keep_best(Progress& progress, LogRow& row);
  std::vector<CheckpointArray> state(bool parameters_only);
  Settings all_settings() const;

  Student& student_;
  base::ThreadPool& pool_;
  const Dataset &data_, &validation_;
  std::string folder_;
  TrainerOptions options_;
  graph::Workspace workspace_;
  AdamW optimizer_;
  Schedule schedule_;
  RunLog log_;
  int64_t layers_cached_ = 0;
  std::optional<FrozenActivations> cached_data_, cached_validation_;
};

}  // namespace retort::training
