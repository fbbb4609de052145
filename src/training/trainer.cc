#include "training/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "graph/ops/cross_entropy.h"
#include "training/pass_batch.h"
#include "training/report.h"

namespace retort::training {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLeastUses = 1.5;  // of a row, for frozen layers' activations to be worth keeping

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int64_t length_of(const Example& example) {
  return static_cast<int64_t>(example.tokens.size());
}

double weight_of(const Dataset& dataset, std::span<const int64_t> examples) {
  double sum = 0;
  for (int64_t index : examples)
    for (float weight : dataset.examples[static_cast<size_t>(index)].loss_weights) sum += weight;
  return sum;
}

/// How many steps the epochs have, the last of them in part.
int64_t count_steps(const Dataset& dataset, const TrainerOptions& options) {
  int64_t steps = 0;
  for (int64_t epoch = 0; static_cast<double>(epoch) < options.epochs; ++epoch) {
    auto batches = static_cast<double>(plan_batches(dataset.examples, options.batch, epoch).size());
    steps += static_cast<int64_t>(std::ceil(batches * std::min(1.0, options.epochs - static_cast<double>(epoch))));
  }
  return options.max_steps > 0 ? std::min(steps, options.max_steps) : steps;
}

}  // namespace

Trainer::Trainer(Student& student, base::ThreadPool& pool, const Dataset& training, const Dataset& validation,
                 std::string folder, TrainerOptions options)
    : student_(student),
      pool_(pool),
      data_(training),
      validation_(validation),
      folder_(std::move(folder)),
      options_(std::move(options)),
      workspace_(pool, kernels::active()),
      optimizer_(student.parameters(), options_.adamw) {
  schedule_.kind = options_.schedule;
  schedule_.peak = options_.learning_rate;
  schedule_.total_steps = count_steps(data_, options_);
  schedule_.warmup_steps = std::llround(options_.warmup * static_cast<double>(schedule_.total_steps));
  student_.training().precision = options_.precision;
  student_.training().dropout = static_cast<float>(options_.dropout);
}

graph::Rounding Trainer::rounding() const {
  // Weights rounded once more would show in the loss, by 1%.
  return options_.precision == kernels::Precision::kBfloat16 ? graph::Rounding::kAttention : graph::Rounding::kNone;
}

base::Result<double> Trainer::run_pass(const Dataset& dataset, std::span<const int64_t> examples,
                                       const graph::Training* training, float gradient_scale) {
  // With dropout each example sees its own beginning.
  PassBatch pass(pick(dataset, examples), shares(training != nullptr));
  if (pass.tokens.empty()) return 0;
  graph::Graph graph(workspace_, training);
  graph.set_rounding(rounding());
  if (&dataset == &data_ && cached_data_)
    RETORT_TRY_STATUS(cached_data_->begin(graph, pass, examples));
  else if (&dataset == &validation_ && cached_validation_)
    RETORT_TRY_STATUS(cached_validation_->begin(graph, pass, examples));
  graph::Var hidden = student_.model().hidden(graph, pass.batch());
  double loss =
      graph::cross_entropy(graph, hidden, student_.model().head(), pass.targets, pass.weights, gradient_scale);
  if (training != nullptr) graph.backward();
  return loss;
}

std::vector<std::vector<int64_t>> Trainer::passes(const Dataset& dataset, std::span<const int64_t> examples,
                                                  bool training) const {
  std::vector<std::vector<int64_t>> all;
  for (int64_t index : examples) {
    if (all.empty()) all.emplace_back();
    all.back().push_back(index);
    if (all.back().size() == 1 || count_rows(pick(dataset, all.back()), shares(training)) <= options_.pass_tokens)
      continue;
    all.back().pop_back();
    all.push_back({index});
  }
  return all;
}

base::Result<double> Trainer::evaluate(const Dataset& dataset) {
  std::vector<int64_t> order = all_of(dataset);
  double loss = 0;
  for (const std::vector<int64_t>& pass : passes(dataset, order, false)) {
    RETORT_TRY(double of_pass, run_pass(dataset, pass, nullptr, 0));
    loss += of_pass;
  }
  return loss / weight_of(dataset, order);
}

base::Result<double> Trainer::step(std::span<const int64_t> batch, int64_t number) {
  double weight = weight_of(data_, batch), loss = 0;
  optimizer_.clear_gradients(pool_);
  uint64_t pass_number = 0;
  for (const std::vector<int64_t>& pass : passes(data_, batch, true)) {
    student_.training().dropout_seed = options_.batch.seed + static_cast<uint64_t>(number) * 4096 + pass_number++;
    RETORT_TRY(double of_pass, run_pass(data_, pass, &student_.training(), static_cast<float>(1 / weight)));
    loss += of_pass;
  }
  return loss / weight;
}

void Trainer::plan_memory() {
  // What one token keeps for a layer is the difference between keeping none and keeping all, over a few tokens.
  constexpr int64_t kProbe = 32;
  std::vector<int32_t> tokens(kProbe, 0);
  graph::Segment segment{0, kProbe, 0, nullptr};
  std::vector<int64_t> wanted = {kProbe - 1};
  auto used = [&](int64_t kept) {
    student_.training().blocks_kept = kept;
    graph::Graph graph(workspace_, &student_.training());
    graph::Var hidden = student_.model().hidden(graph, {tokens, {&segment, 1}, wanted});
    return workspace_.arena().used_bytes();
  };
  student_.training().blocks_frozen = student_.num_frozen_layers();
  int64_t layers =
      std::max<int64_t>(1, student_.model().hyperparameters().num_layers - student_.training().blocks_frozen);
  int64_t per_block = std::max<int64_t>(1, (used(layers) - used(0)) / kProbe / layers);
  int64_t longest = std::max(options_.pass_tokens, data_.longest);
  student_.training().blocks_kept = std::clamp<int64_t>(options_.activation_bytes / (per_block * longest), 0, layers);
  workspace_.arena().trim();
}

base::Result<int64_t> Trainer::plan_cache() const {
  int64_t frozen = student_.num_frozen_layers();
  if (options_.activation_cache == ActivationCache::kOff) return 0;
  if (options_.activation_cache == ActivationCache::kOn && frozen == 0)
    return base::fail("--cache-activations on: no layer is frozen: --last-layers N trains only the last N");
  if (options_.activation_cache == ActivationCache::kOn || frozen == 0) return frozen;
  auto steps_per_epoch = static_cast<double>(plan_batches(data_.examples, options_.batch, 0).size());
  if (static_cast<double>(schedule_.total_steps) < kLeastUses * steps_per_epoch) return 0;
  int64_t dim = student_.model().hyperparameters().model_dim;
  auto bytes = static_cast<uint64_t>(FrozenActivations::file_bytes(data_, dim) +
                                     FrozenActivations::file_bytes(validation_, dim));
  std::error_code error;
  std::filesystem::space_info space = std::filesystem::space(folder_, error);
  return !error && space.available / 2 >= bytes ? frozen : 0;
}

base::Status Trainer::fill_cache() {
  auto total = static_cast<int64_t>(data_.examples.size() + validation_.examples.size()), done = int64_t{0};
  auto fill = [&](const Dataset& dataset, std::optional<FrozenActivations>& cache) -> base::Status {
    RETORT_TRY(FrozenActivations made, FrozenActivations::create(folder_, dataset, student_.model(), layers_cached_));
    for (const std::vector<int64_t>& pass : passes(dataset, all_of(dataset), false)) {
      if (cancelled()) return {};
      RETORT_TRY_STATUS(made.compute(workspace_, rounding(), pass));
      done += static_cast<int64_t>(pass.size());
      if (options_.on_activations) options_.on_activations(done, total);
    }
    cache.emplace(std::move(made));
    return {};
  };
  RETORT_TRY_STATUS(fill(data_, cached_data_));
  return validation_.examples.empty() ? base::Status() : fill(validation_, cached_validation_);
}

std::vector<CheckpointArray> Trainer::state(bool parameters_only) {
  std::vector<CheckpointArray> arrays;
  for (size_t i = 0; i < optimizer_.parameters().size(); ++i) {
    const OptimizerParameter& parameter = optimizer_.parameters()[i];
    arrays.push_back({parameter.name, parameter.value});
    if (parameters_only) continue;
    arrays.push_back({parameter.name + ".first_moment", optimizer_.first_moment(i)});
    arrays.push_back({parameter.name + ".second_moment", optimizer_.second_moment(i)});
  }
  return arrays;
}

Settings Trainer::all_settings() const {
  Settings settings = options_.settings;
  auto add = [&](const char* name, std::string value) { settings.emplace_back(name, std::move(value)); };
  add("examples", std::to_string(data_.examples.size()));
  add("tokens", std::to_string(data_.num_tokens));
  add("epochs", fmt::format("{}", options_.epochs));
  add("steps", std::to_string(schedule_.total_steps));
  add("batch", std::to_string(options_.batch.max_examples));
  add("batch_tokens", std::to_string(options_.batch.max_tokens));
  add("pass_tokens", std::to_string(options_.pass_tokens));
  add("seed", std::to_string(options_.batch.seed));
  add("shuffle", options_.batch.shuffle ? "yes" : "no");
  add("learning_rate", fmt::format("{}", options_.learning_rate));
  add("schedule", std::string(name(options_.schedule)));
  add("warmup", fmt::format("{}", options_.warmup));
  add("weight_decay", fmt::format("{}", options_.adamw.weight_decay));
  add("clip", fmt::format("{}", options_.clip));
  add("dropout", fmt::format("{}", options_.dropout));
  add("cache_activations", layers_cached_ > 0 ? "on" : "off");
  add("precision", options_.precision == kernels::Precision::kBfloat16 ? "bf16" : "fp32");
  return settings;
}

base::Status Trainer::checkpoint(const Progress& progress) {
  return save_checkpoint(folder_ + "/checkpoint.bin", progress, all_settings(), state(false));
}

base::Status Trainer::evaluate_and_keep_best(Progress& progress, LogRow& row) {
  RETORT_TRY(double loss, evaluate(validation_));
  row.values.emplace_back(kValidationLoss, loss);
  if (options_.measure) {
    RETORT_TRY(auto figures, options_.measure());
    row.values.insert(row.values.end(), figures.begin(), figures.end());
  }
  if (progress.best_loss && !(loss < *progress.best_loss)) {
    ++progress.evaluations_since_best;
    return {};
  }
  progress.best_loss = loss;
  progress.best_step = progress.step;
  progress.evaluations_since_best = 0;
  return save_checkpoint(folder_ + "/best.bin", progress, all_settings(), state(true));
}

base::Result<TrainingSummary> Trainer::run(const std::function<void(const LogRow&, int64_t total_steps)>& on_step) {
  TrainingSummary summary;
  summary.total_steps = schedule_.total_steps;
  Progress& progress = summary.progress;
  RETORT_TRY(layers_cached_, plan_cache());
  summary.layers_cached = layers_cached_;
  if (options_.resume && std::filesystem::exists(folder_ + "/checkpoint.bin")) {
    RETORT_TRY(progress, load_checkpoint(folder_ + "/checkpoint.bin", all_settings(), state(false)));
    optimizer_.set_num_steps(progress.step);
    optimizer_.refresh_copies();
  }
  RETORT_TRY(log_, RunLog::open(folder_, progress.step));
  plan_memory();
  summary.blocks_kept = student_.training().blocks_kept;
  if (layers_cached_ > 0 && progress.step < schedule_.total_steps) RETORT_TRY_STATUS(fill_cache());

  std::vector<std::vector<int64_t>> batches;
  int64_t planned_epoch = -1, unsaved = 0, run_tokens = 0;
  double run_seconds = 0;
  while (progress.step < schedule_.total_steps && !cancelled()) {
    if (planned_epoch != progress.epoch) {
      batches = plan_batches(data_.examples, options_.batch, progress.epoch);
      planned_epoch = progress.epoch;
    }
    const std::vector<int64_t>& batch = batches[static_cast<size_t>(progress.step_in_epoch)];
    auto start = Clock::now();
    RETORT_TRY(double loss, step(batch, progress.step));
    double norm = optimizer_.gradient_norm(pool_);
    if (!std::isfinite(loss) || !std::isfinite(norm))
      return base::fail(
          fmt::format("step {}: the loss is {} and the gradient's norm {}: lower the learning rate ({}), or "
                      "look at the rows of this step; the last checkpoint is in {}",
                      progress.step + 1, loss, norm, options_.learning_rate, folder_));
    double rate = schedule_.at(progress.step);
    optimizer_.step(pool_, rate, clip_factor(norm, options_.clip));
    double seconds = seconds_since(start);
    int64_t tokens = 0;
    for (int64_t index : batch) tokens += length_of(data_.examples[static_cast<size_t>(index)]);

    ++progress.step;
    if (++progress.step_in_epoch == static_cast<int64_t>(batches.size())) {
      progress.step_in_epoch = 0;
      ++progress.epoch;
    }
    progress.tokens += tokens;
    progress.seconds += seconds;
    run_tokens += tokens;
    run_seconds += seconds;
    summary.last_loss = summary.last_loss == 0 ? loss : 0.9 * summary.last_loss + 0.1 * loss;

    LogRow row{progress.step, wall_time(), {}};
    row.values = {{kLoss, loss},
                  {kLearningRate, rate},
                  {kGradientNorm, norm},
                  {kTokensPerSecond, static_cast<double>(tokens) / seconds},
                  {kTokens, static_cast<double>(progress.tokens)},
                  {kEpoch, static_cast<double>(progress.epoch) +
                               static_cast<double>(progress.step_in_epoch) / static_cast<double>(batches.size())}};
    bool last = progress.step == schedule_.total_steps;
    bool due = options_.evaluate_every > 0 ? progress.step % options_.evaluate_every == 0 : progress.step_in_epoch == 0;
    if (!validation_.examples.empty() && (due || last)) RETORT_TRY_STATUS(evaluate_and_keep_best(progress, row));
    RETORT_TRY_STATUS(log_.append(row));
    if (on_step) on_step(row, schedule_.total_steps);
    summary.stopped_early = options_.patience > 0 && progress.evaluations_since_best >= options_.patience;
    if (++unsaved >= options_.checkpoint_every || last || summary.stopped_early) {
      RETORT_TRY_STATUS(checkpoint(progress));
      unsaved = 0;
    }
    if (summary.stopped_early) break;
  }
  if (unsaved > 0) RETORT_TRY_STATUS(checkpoint(progress));
  summary.cancelled = cancelled() && progress.step < schedule_.total_steps && !summary.stopped_early;
  summary.tokens_per_s = run_seconds > 0 ? static_cast<double>(run_tokens) / run_seconds : 0;
  if (!summary.cancelled && progress.best_loss && progress.best_step != progress.step) {
    base::Result<Progress> best = load_checkpoint(folder_ + "/best.bin", all_settings(), state(true));
    if (!best) return base::fail(best.error().message);
    optimizer_.refresh_copies();
  }
  return summary;
}

}  // namespace retort::training
