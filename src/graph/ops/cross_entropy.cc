#include "graph/ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "graph/ops/matmul.h"
#include "graph/training.h"

namespace retort::graph {
namespace {

constexpr int64_t kBlock = 2048;  // vocabulary entries whose logits are held at a time

}  // namespace

double cross_entropy(Graph& graph, const Var& hidden, const LinearWeights& head, std::span<const int32_t> targets,
                     std::span<const float> weights, float gradient_scale) {
  const kernels::TrainingKernels& kernels = *graph.kernels().training;
  int64_t rows = hidden.rows(), vocabulary = head.matrix.rows;
  RETORT_CHECK(static_cast<int64_t>(targets.size()) == rows);
  RETORT_CHECK(static_cast<int64_t>(weights.size()) == rows);
  RETORT_CHECK(!head.bias);

  auto part_of = [&](int64_t begin, int64_t end) {
    tensor::Tensor part = head.matrix;
    part.data = head.matrix.row(begin);
    part.rows = end - begin;
    return LinearWeights{part, {}, {}};
  };
  struct Row {
    float largest = -INFINITY, sum = 0, target = 0;
  };
  std::vector<Row> state(static_cast<size_t>(rows));
  for (int64_t begin = 0; begin < vocabulary; begin += kBlock) {
    int64_t end = std::min(vocabulary, begin + kBlock);
    Var logits = product(graph, hidden, part_of(begin, end));
    graph.for_rows(rows, 8 * (end - begin), [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; ++i) {
        Row& row = state[static_cast<size_t>(i)];
        kernels.log_sum_exp(logits.row(i), end - begin, &row.largest, &row.sum);
        int32_t target = targets[static_cast<size_t>(i)];
        if (target >= begin && target < end) row.target = logits.row(i)[target - begin];
      }
    });
  }
  double loss = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const Row& row = state[static_cast<size_t>(i)];
    loss += weights[static_cast<size_t>(i)] *
            (row.largest + std::log(static_cast<double>(row.sum)) - static_cast<double>(row.target));
  }
  if (graph.training() == nullptr) return loss;

  // A product's own gradient is computed here, so that no block's logits outlive the block.
  Gradient dhidden(hidden);
  float* dmatrix = graph.training()->gradient_of(head.matrix);
  if (!dhidden.needed() && dmatrix == nullptr) return loss;
  for (int64_t begin = 0; begin < vocabulary; begin += kBlock) {
    int64_t end = std::min(vocabulary, begin + kBlock);
    LinearWeights part = part_of(begin, end);
    Var gradients = product(graph, hidden, part);
    graph.for_rows(rows, 8 * (end - begin), [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; ++i) {
        const Row& row = state[static_cast<size_t>(i)];
        float factor = weights[static_cast<size_t>(i)] * gradient_scale;
        float* logits = gradients.mutable_data() + i * (end - begin);
        // softmax = exp(x - largest - log sum)
        kernels.exp_scaled(logits, row.largest + std::log(row.sum), factor, logits, end - begin);
        int32_t target = targets[static_cast<size_t>(i)];
        if (target >= begin && target < end) logits[target - begin] -= factor;
      }
    });
    Factor d{gradients.data(), rows, end - begin};
    if (dhidden.needed()) {
      Gradient::Sum to = dhidden.sum();
      matmul(graph, d, part.matrix, false, to.data, to.accumulate);
    }
    if (dmatrix != nullptr)
      matmul(graph, {d.data, d.rows, d.cols, true}, Factor{hidden.data(), rows, hidden.cols()},
             dmatrix + begin * head.matrix.cols, true);
  }
  hidden.release_quantized();
  return loss;
}

}  // namespace retort::graph
