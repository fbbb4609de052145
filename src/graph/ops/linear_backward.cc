#include "graph/ops/linear_backward.h"

#include <cmath>
#include <utility>

#include "graph/ops/matmul.h"
#include "graph/training.h"

namespace retort::graph {
namespace {

uint64_t mixed(uint64_t x) {  // splitmix64's output function: Steele et al., "Fast splittable PRNGs" (2014)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// to = from (times 1 / (1 - dropout), or zero where the addition `id` drops the element).
void drop(Graph& graph, uint64_t id, const float* from, float* to, int64_t rows, int64_t cols) {
  const Training& training = *graph.training();
  float kept = 1 / (1 - training.dropout);
  auto limit = static_cast<uint64_t>(std::ldexp(static_cast<double>(training.dropout), 32));
  uint64_t seed = mixed(training.dropout_seed + 0x9e3779b97f4a7c15ULL * (id + 1));
  graph.for_rows(rows, 4 * cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * cols; i < end * cols; ++i)
      to[i] = (mixed(seed + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ULL) >> 32) < limit ? 0 : from[i] * kept;
  });
}

bool drops(Graph& graph) {
  return graph.training() != nullptr && graph.training()->dropout > 0;
}

/// What an addition reads: x, or x with elements dropped.
Var input_of(Graph& graph, const Var& x, const LowRank& addition) {
  if (!drops(graph)) return x;
  Var dropped = graph.create(x.rows(), x.cols());
  drop(graph, addition.id, x.data(), dropped.mutable_data(), x.rows(), x.cols());
  return dropped;
}

void scale_in_place(Graph& graph, Var& x, float factor) {
  if (factor != 1) graph.kernels().scale(x.data(), factor, x.mutable_data(), x.rows() * x.cols());
}

/// y += scale (x A^T) B^T; returns scale (x A^T), (tokens, rank).
Var add_low_rank(Graph& graph, const Var& x, const LowRank& addition, Var& y) {
  Var narrow = graph.create(x.rows(), addition.a.rows);
  Var input = input_of(graph, x, addition);
  matmul(graph, {input.data(), x.rows(), x.cols()}, addition.a, true, narrow.mutable_data(), false);
  scale_in_place(graph, narrow, addition.scale);
  matmul(graph, {narrow.data(), narrow.rows(), narrow.cols()}, addition.b, true, y.mutable_data(), true);
  return narrow;
}

void low_rank_backward(Graph& graph, const Var& x, Gradient& dx, const LowRank& addition, const Var& narrow,
                       const Gradient& dout, const PackedFactor& packed) {
  const Training& training = *graph.training();
  int64_t tokens = dout.rows(), rank = addition.a.rows;
  float *da = training.gradient_of(addition.a), *db = training.gradient_of(addition.b);
  if (db != nullptr)
    matmul(graph, {dout.data(), tokens, dout.cols(), true}, Factor{narrow.data(), tokens, rank}, db, true);
  if (da == nullptr && !dx.needed()) return;
  Var dnarrow = graph.create(tokens, rank);
  matmul(graph, {dout.data(), tokens, dout.cols()}, addition.b, false, dnarrow.mutable_data(), false, &packed);
  scale_in_place(graph, dnarrow, addition.scale);
  if (da != nullptr) {
    Var input = input_of(graph, x, addition);
    matmul(graph, {dnarrow.data(), tokens, rank, true}, Factor{input.data(), tokens, dx.cols()}, da, true);
  }
  if (!dx.needed()) return;
  if (!drops(graph)) {
    Gradient::Sum to = dx.sum();
    matmul(graph, {dnarrow.data(), tokens, rank}, addition.a, false, to.data, to.accumulate);
    return;
  }
  Var dinput = graph.create(tokens, dx.cols());
  matmul(graph, {dnarrow.data(), tokens, rank}, addition.a, false, dinput.mutable_data(), false);
  drop(graph, addition.id, dinput.data(), dinput.mutable_data(), tokens, dx.cols());
  float* to = dx.zeroed();
  graph.kernels().add(to, dinput.data(), to, tokens * dx.cols());
}

void add_column_sums(const Gradient& dout, float* sums) {
  for (int64_t row = 0; row < dout.rows(); ++row)
    for (int64_t col = 0; col < dout.cols(); ++col) sums[col] += dout.data()[row * dout.cols() + col];
}

}  // namespace

void finish_linear(Graph& graph, const Var& x, const LinearWeights& weights, Var& y) {
  std::vector<Var> narrows;
  for (const LowRank& addition : weights.additions) narrows.push_back(add_low_rank(graph, x, addition, y));
  const Training* training = graph.training();
  if (training == nullptr) return;

  float* dmatrix = training->gradient_of(weights.matrix);
  float* dbias = weights.bias ? training->gradient_of(weights.bias) : nullptr;
  bool trained = dmatrix != nullptr || dbias != nullptr, reads_x = dmatrix != nullptr;
  for (const LowRank& addition : weights.additions) {
    reads_x |= training->gradient_of(addition.a) != nullptr;
    trained |= training->gradient_of(addition.a) != nullptr || training->gradient_of(addition.b) != nullptr;
  }
  if (!trained && !x.needs_gradient()) return;

  // The input itself is not kept where its own inputs are, and it is cheaply had from them.
  std::function<Var()> recipe = reads_x ? x.recipe() : nullptr;
  graph.record(y, [&graph, dx = Gradient(x), kept = reads_x && !recipe ? x : Var(), recipe, weights,
                   narrows = std::move(narrows), dmatrix, dbias](Gradient& dout) mutable {
    if (recipe) kept = recipe();
    Factor d{dout.data(), dout.rows(), dout.cols()};
    PackedFactor packed(graph, d);
    if (dbias != nullptr) add_column_sums(dout, dbias);
    if (dmatrix != nullptr)
      matmul(graph, {d.data, d.rows, d.cols, true}, Factor{kept.data(), kept.rows(), kept.cols()}, dmatrix, true);
    if (dx.needed()) {
      Gradient::Sum to = dx.sum();
      matmul(graph, d, weights.matrix, false, to.data, to.accumulate, &packed);
    }
    for (size_t i = 0; i < narrows.size(); ++i)
      low_rank_backward(graph, kept, dx, weights.additions[i], narrows[i], dout, packed);
  });
}

}  // namespace retort::graph
