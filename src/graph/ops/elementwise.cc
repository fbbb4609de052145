#include "graph/ops/elementwise.h"

#include <cstring>

#include "base/check.h"

namespace retort::graph {

Var operator+(const Var& a, const Var& b) {
  RETORT_CHECK(a.rows() == b.rows());
  RETORT_CHECK(a.cols() == b.cols());
  Graph& graph = a.graph();
  Var out = graph.create(a.rows(), a.cols());
  graph.for_rows(a.rows(), a.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * a.cols();
    graph.kernels().add(a.data() + at, b.data() + at, out.mutable_data() + at, (end - begin) * a.cols());
  });
  return out;
}

Var scale(Graph& graph, const Var& x, float factor) {
  Var out = graph.create(x.rows(), x.cols());
  graph.for_rows(x.rows(), x.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * x.cols();
    graph.kernels().scale(x.data() + at, factor, out.mutable_data() + at, (end - begin) * x.cols());
  });
  return out;
}

Var gated(Graph& graph, kernels::Activation activation, const Var& gate, const Var& up) {
  RETORT_CHECK(gate.rows() == up.rows());
  RETORT_CHECK(gate.cols() == up.cols());
  Var out = graph.create(gate.rows(), gate.cols());
  graph.for_rows(gate.rows(), 8 * gate.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * gate.cols();
    graph.kernels().gated(activation, gate.data() + at, up.data() + at, out.mutable_data() + at,
                          (end - begin) * gate.cols());
  });
  return out;
}

Var rms_norm(Graph& graph, const Var& x, const tensor::Tensor& weight, float epsilon) {
  RETORT_CHECK(x.cols() % weight.cols == 0);
  Var out = graph.create(x.rows(), x.cols());
  graph.for_rows(x.rows(), 2 * x.cols(), [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin * x.cols(); at < end * x.cols(); at += weight.cols)
      graph.kernels().rms_norm(x.data() + at, weight.floats(), epsilon, out.mutable_data() + at, weight.cols);
  });
  return out;
}

Var embedding(Graph& graph, const tensor::Tensor& table, std::span<const int32_t> ids) {
  auto count = static_cast<int64_t>(ids.size());
  Var out = graph.create(count, table.cols);
  graph.for_rows(count, table.cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int32_t id = ids[static_cast<size_t>(i)];
      RETORT_CHECK(id >= 0);
      RETORT_CHECK(id < table.rows);
      graph.kernels().dequantize_row(table.dtype, table.row(id), out.mutable_data() + i * table.cols, table.cols);
    }
  });
  return out;
}

Var rows(Graph& graph, const Var& x, std::span<const int64_t> indices) {
  auto count = static_cast<int64_t>(indices.size());
  if (count == x.rows()) return x;
  Var out = graph.create(count, x.cols());
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(out.mutable_data() + i * x.cols(), x.row(indices[static_cast<size_t>(i)]),
                static_cast<size_t>(x.cols()) * 4);
  return out;
}

}  // namespace retort::graph
