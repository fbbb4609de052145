#include "training/adamw.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/quantize.h"

namespace retort::training {
namespace {

constexpr size_t kPiece = 1 << 15;

struct Step {
  float beta1, beta2, epsilon, gradient_scale;
  float new1, new2;  // 1 - beta: subtracted in double, as 1 - 0.999 in fp32 is off by 1e-5
  float keep;        // 1 - learning rate x weight decay
  float rate;        // learning rate / (1 - beta1^t)
  float root_fix;    // 1 / sqrt(1 - beta2^t)
};

// Plain loops over raw pointers: the compiler turns them into vector code, and memory is the limit anyway.
void update(const Step& s, float* __restrict value, const float* __restrict gradient, float* __restrict first,
            float* __restrict second, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    float g = gradient[i] * s.gradient_scale;
    float m = s.beta1 * first[i] + s.new1 * g;
    float v = s.beta2 * second[i] + s.new2 * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = s.keep * value[i] - s.rate * m / (std::sqrt(v) * s.root_fix + s.epsilon);
  }
}

void round_to_bfloat16(const float* value, uint16_t* out, size_t n) {
  kernels::quantize_row(tensor::DType::kBF16, value, out, static_cast<int64_t>(n));
}

double squared_sum(const float* x, size_t n) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (size_t lane = 0; lane < 8; ++lane) {
      double value = x[i + lane];
      lanes[lane] += value * value;
    }
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

AdamW::AdamW(std::vector<OptimizerParameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    size_t size = parameters_[p].value.size();
    RETORT_CHECK(parameters_[p].gradient.size() == size);
    if (!parameters_[p].bfloat16.empty()) RETORT_CHECK(parameters_[p].bfloat16.size() == size);
    first_.emplace_back(size);
    second_.emplace_back(size);
    for (size_t begin = 0; begin < size; begin += kPiece) pieces_.push_back({p, begin, std::min(begin + kPiece, size)});
    num_elements_ += static_cast<int64_t>(size);
  }
}

template <class F>
void AdamW::for_pieces(base::ThreadPool& pool, F&& function) const {
  pool.parallel_for(static_cast<int64_t>(pieces_.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) function(static_cast<size_t>(i));
  });
}

double AdamW::gradient_norm(base::ThreadPool& pool) const {
  std::vector<double> sums(pieces_.size());
  for_pieces(pool, [&](size_t i) {
    const Piece& piece = pieces_[i];
    sums[i] = squared_sum(parameters_[piece.parameter].gradient.data() + piece.begin, piece.end - piece.begin);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return std::sqrt(total);
}

void AdamW::step(base::ThreadPool& pool, double learning_rate, double gradient_scale) {
  ++num_steps_;
  auto t = static_cast<double>(num_steps_);
  Step step{};
  step.beta1 = static_cast<float>(options_.beta1);
  step.beta2 = static_cast<float>(options_.beta2);
  step.new1 = static_cast<float>(1 - options_.beta1);
  step.new2 = static_cast<float>(1 - options_.beta2);
  step.epsilon = static_cast<float>(options_.epsilon);
  step.gradient_scale = static_cast<float>(gradient_scale);
  step.rate = static_cast<float>(learning_rate / (1 - std::pow(options_.beta1, t)));
  step.root_fix = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  for_pieces(pool, [&](size_t i) {
    const auto& [p, begin, end] = pieces_[i];
    const OptimizerParameter& parameter = parameters_[p];
    Step own = step;
    own.keep = static_cast<float>(1 - (parameter.decays ? learning_rate * options_.weight_decay : 0));
    update(own, parameter.value.data() + begin, parameter.gradient.data() + begin, first_[p].data() + begin,
           second_[p].data() + begin, end - begin);
    if (!parameter.bfloat16.empty())
      round_to_bfloat16(parameter.value.data() + begin, parameter.bfloat16.data() + begin, end - begin);
  });
}

void AdamW::clear_gradients(base::ThreadPool& pool) {
  for_pieces(pool, [&](size_t i) {
    const Piece& piece = pieces_[i];
    std::ranges::fill(parameters_[piece.parameter].gradient.subspan(piece.begin, piece.end - piece.begin), 0.0f);
  });
}

void AdamW::refresh_copies() {
  for (const OptimizerParameter& parameter : parameters_)
    if (!parameter.bfloat16.empty())
      round_to_bfloat16(parameter.value.data(), parameter.bfloat16.data(), parameter.value.size());
}

double clip_factor(double norm, double limit) {
  return limit > 0 && norm > limit ? limit / norm : 1;
}

}  // namespace retort::training
