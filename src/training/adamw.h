// AdamW: Adam with decoupled weight decay, over fp32 parameters. Loshchilov & Hutter, "Decoupled Weight Decay
// Regularization" (2019).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/huge_pages.h"
#include "base/thread_pool.h"

namespace retort::training {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

/// One array of numbers to train: what the optimizer changes and what it reads. Does not own them.
struct OptimizerParameter {
  std::string name;
  std::span<float> value;
  std::span<float> gradient;     // same size
  std::span<uint16_t> bfloat16;  // rounded copy of value, kept up to date; or empty
  bool decays = true;            // norms and biases do not
};

/// Holds both moments in fp32, in the parameters' order. The arithmetic of an element depends on nothing but itself, so
/// results are the same for every number of threads. Not thread-safe.
class AdamW {
 public:
  AdamW(std::vector<OptimizerParameter> parameters, const AdamWOptions& options);

  /// Root of the sum of all squared gradients. The same for every number of threads.
  double gradient_norm(base::ThreadPool& pool) const;

  /// One update with gradients multiplied by `gradient_scale` (clipping, averaging). Leaves the gradients as they are.
  void step(base::ThreadPool& pool, double learning_rate, double gradient_scale = 1);

  /// Sets every gradient to zero.
  void clear_gradients(base::ThreadPool& pool);

  /// Brings the rounded copies in line with values that were set from outside.
  void refresh_copies();

  std::span<const OptimizerParameter> parameters() const { return parameters_; }
  /// The moments of parameter `index`, for checkpoints.
  std::span<float> first_moment(size_t index) { return first_[index]; }
  std::span<float> second_moment(size_t index) { return second_[index]; }
  int64_t num_steps() const { return num_steps_; }
  void set_num_steps(int64_t steps) { num_steps_ = steps; }
  int64_t num_elements() const { return num_elements_; }

 private:
  template <class F>
  void for_pieces(base::ThreadPool& pool, F&& function) const;

  std::vector<OptimizerParameter> parameters_;
  AdamWOptions options_;
  std::vector<base::HugeVector<float>> first_, second_;
  struct Piece {
    size_t parameter;
    size_t begin, end;
  };
  std::vector<Piece> pieces_;  // of fixed size, so that sums are added in the same order on any machine
  int64_t num_elements_ = 0, num_steps_ = 0;
};

/// What gradients are multiplied by so that their norm is at most `limit`; 1 when it is already, or limit is 0.
double clip_factor(double norm, double limit);

}  // namespace retort::training
