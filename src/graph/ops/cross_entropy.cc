#include "graph/ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "graph/ops/matmul.h"
#include "graph/training.h"
#include "kernels/quantize.h"
#include "kernels/training.h"

namespace retort::graph {
namespace {

constexpr int64_t kBlock = 2048;                   // vocabulary entries whose logits are held at a time
constexpr int64_t kKeptBytes = int64_t{64} << 20;  // of exponentials at most, for the gradients of a trained head

/// The exponentials of a matrix's first blocks, in bf16, as far as `bytes` go: what the gradients then need not compute
/// again. Each row of a block has a shift of its own: the largest logit known when it was computed.
class KeptBlocks {
 public:
  KeptBlocks(Graph& graph, int64_t rows, int64_t vocabulary, int64_t bytes)
      : rows_(rows),
        count_(std::min((vocabulary + kBlock - 1) / kBlock, bytes / (2 * kBlock * std::max<int64_t>(rows, 1)))),
        memory_(graph.create(count_ * rows, kBlock / 2)),
        shifts_(static_cast<size_t>(count_ * rows)) {}

  bool has(int64_t block) const { return block < count_; }
  void put(int64_t block, int64_t row, const float* values, int64_t n, float shift) {
    kernels::quantize_row(tensor::DType::kBF16, values, memory_.mutable_data() + at(block, row) * memory_.cols(), n);
    shifts_[static_cast<size_t>(at(block, row))] = shift;
  }
  const void* values(int64_t block, int64_t row) const { return memory_.row(at(block, row)); }
  float shift(int64_t block, int64_t row) const { return shifts_[static_cast<size_t>(at(block, row))]; }

 private:
  int64_t at(int64_t block, int64_t row) const { return block * rows_ + row; }

  int64_t rows_, count_;
  Var memory_;  // two of bf16 in the place of a float
  std::vector<float> shifts_;
};

/// The loss of every row over the vocabulary, block by block.
class Loss {
 public:
  /// sum() keeps `kept_bytes` of exponentials for gradients().
  Loss(Graph& graph, const Var& hidden, const tensor::Tensor& head, std::span<const int32_t> targets,
       int64_t kept_bytes)
      : graph_(graph),
        hidden_(hidden),
        head_(head),
        targets_(targets),
        rows_(static_cast<size_t>(hidden.rows())),
        kept_(graph, hidden.rows(), head.rows, kept_bytes) {}

  /// Sums exponentials. With `weighted`, (rows, model_dim), also the vocabulary's vectors weighted by them.
  void sum(float* weighted) {
    int64_t dim = head_.cols;
    for (int64_t begin = 0; begin < head_.rows; begin += kBlock) {
      tensor::Tensor part = block(begin);
      Var logits = product(graph_, hidden_, {part, {}, {}});
      graph_.for_rows(hidden_.rows(), 16 * part.rows, [&](int64_t from, int64_t to, int) {
        for (int64_t i = from; i < to; ++i) {
          Row& row = rows_[static_cast<size_t>(i)];
          float* values = logits.mutable_data() + i * part.rows;
          int64_t target = targets_[static_cast<size_t>(i)] - begin;
          if (target >= 0 && target < part.rows) row.target = values[target];
          float before = row.largest;
          kernels().log_sum_exp(values, part.rows, &row.largest, &row.sum);
          if (kept_.has(begin / kBlock)) {
            kernels().exp_scaled(values, row.largest, 1, values, part.rows);
            kept_.put(begin / kBlock, i, values, part.rows, row.largest);
          }
          if (weighted == nullptr) continue;
          if (begin > 0 && before != row.largest)
            graph_.kernels().scale(weighted + i * dim, std::exp(before - row.largest), weighted + i * dim, dim);
          kernels().exp_scaled(values, row.largest, 1, values, part.rows);
        }
      });
      if (weighted != nullptr)
        matmul(graph_, {logits.data(), hidden_.rows(), part.rows}, part, false, weighted, begin > 0);
    }
  }

  double total(std::span<const float> weights) const {
    double loss = 0;
    for (size_t i = 0; i < rows_.size(); ++i)
      loss += weights[i] *
              (rows_[i].largest + std::log(static_cast<double>(rows_[i].sum)) - static_cast<double>(rows_[i].target));
    return loss;
  }

  /// The gradient where the head is frozen: factor * (mean vector of the vocabulary - the target's vector), from what
  /// sum() put into `weighted`, which is changed.
  void gradient_of_hidden(float* weighted, std::span<const float> factors, Gradient& dhidden) {
    Gradient::Sum to = dhidden.sum();
    int64_t dim = head_.cols;
    Scratch scratch(graph_, dim * 4);
    graph_.for_rows(hidden_.rows(), 8 * dim, [&](int64_t from, int64_t last, int thread) {
      auto* target = reinterpret_cast<float*>(scratch.of(thread));
      for (int64_t i = from; i < last; ++i) {
        float factor = factors[static_cast<size_t>(i)], *mean = weighted + i * dim, *out = to.data + i * dim;
        graph_.kernels().dequantize_row(head_.dtype, head_.row(targets_[static_cast<size_t>(i)]), target, dim);
        graph_.kernels().scale(mean, factor / rows_[static_cast<size_t>(i)].sum, mean, dim);
        graph_.kernels().scale(target, -factor, target, dim);
        graph_.kernels().add(mean, target, mean, dim);
        if (to.accumulate)
          graph_.kernels().add(out, mean, out, dim);
        else
          std::copy(mean, mean + dim, out);
      }
    });
  }

  /// The gradients where the head is trained: from the exponentials that were kept, or from the logits, computed once
  /// more, now that their sums are known.
  void gradients(std::span<const float> factors, Gradient& dhidden, float* dhead) {
    for (int64_t begin = 0; begin < head_.rows; begin += kBlock) {
      tensor::Tensor part = block(begin);
      const int64_t index = begin / kBlock;
      const bool kept = kept_.has(index);
      Var slopes = kept ? graph_.create(hidden_.rows(), part.rows) : product(graph_, hidden_, {part, {}, {}});
      graph_.for_rows(hidden_.rows(), 8 * part.rows, [&](int64_t from, int64_t to, int) {
        for (int64_t i = from; i < to; ++i) {
          const Row& row = rows_[static_cast<size_t>(i)];
          float factor = factors[static_cast<size_t>(i)], *values = slopes.mutable_data() + i * part.rows;
          if (kept) {
            graph_.kernels().dequantize_row(tensor::DType::kBF16, kept_.values(index, i), values, part.rows);
            graph_.kernels().scale(values, std::exp(kept_.shift(index, i) - row.largest) / row.sum * factor, values,
                                   part.rows);
          } else {
            kernels().exp_scaled(values, row.largest + std::log(row.sum), factor, values, part.rows);
          }
          int64_t target = targets_[static_cast<size_t>(i)] - begin;
          if (target >= 0 && target < part.rows) values[target] -= factor;
        }
      });
      Factor d{slopes.data(), hidden_.rows(), part.rows};
      if (dhidden.needed()) {
        Gradient::Sum to = dhidden.sum();
        matmul(graph_, d, part, false, to.data, to.accumulate);
      }
      matmul(graph_, {d.data, d.rows, d.cols, true}, Factor{hidden_.data(), hidden_.rows(), hidden_.cols()},
             dhead + begin * head_.cols, true);
    }
  }

 private:
  struct Row {
    float largest = -INFINITY, sum = 0, target = 0;
  };

  const kernels::TrainingKernels& kernels() const { return *graph_.kernels().training; }

  tensor::Tensor block(int64_t begin) const {
    tensor::Tensor part = head_;
    part.data = head_.row(begin);
    part.rows = std::min(kBlock, head_.rows - begin);
    return part;
  }

  Graph& graph_;
  const Var& hidden_;
  const tensor::Tensor& head_;
  std::span<const int32_t> targets_;
  std::vector<Row> rows_;
  KeptBlocks kept_;
};

}  // namespace

double cross_entropy(Graph& graph, const Var& hidden, const LinearWeights& head, std::span<const int32_t> targets,
                     std::span<const float> weights, float gradient_scale) {
  RETORT_CHECK(static_cast<int64_t>(targets.size()) == hidden.rows());
  RETORT_CHECK(weights.size() == targets.size());
  RETORT_CHECK(!head.bias);
  float* dhead = graph.training() != nullptr ? graph.training()->gradient_of(head.matrix) : nullptr;
  // Products in bf16 would round the exponentials to that, too.
  bool keeps = dhead != nullptr && graph.training()->precision == kernels::Precision::kBfloat16;
  Loss loss(graph, hidden, head.matrix, targets, keeps ? kKeptBytes : 0);
  Gradient dhidden(hidden);
  std::vector<float> factors(weights.begin(), weights.end());
  for (float& factor : factors) factor *= gradient_scale;
  if (dhead != nullptr) {
    loss.sum(nullptr);
    loss.gradients(factors, dhidden, dhead);
  } else if (dhidden.needed()) {
    Var weighted = graph.create(hidden.rows(), hidden.cols());
    loss.sum(weighted.mutable_data());
    loss.gradient_of_hidden(weighted.mutable_data(), factors, dhidden);
  } else {
    loss.sum(nullptr);
  }
  hidden.release_quantized();
  return loss.total(weights);
}

}  // namespace retort::graph
