#include "graph/ops/elementwise.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "base/check.h"
#include "graph/training.h"

namespace retort::graph {
namespace {

bool needs_gradient(std::initializer_list<const Var*> inputs) {
  for (const Var* input : inputs)
    if (input->needs_gradient()) return true;
  return false;
}

/// Contributes factor * values.
void add_to(Gradient& gradient, const float* values, float factor) {
  Graph& graph = gradient.graph();
  Gradient::Sum to = gradient.sum();
  int64_t cols = gradient.cols();
  graph.for_rows(gradient.rows(), cols, [&](int64_t begin, int64_t end, int) {
    if (!to.accumulate) {
      graph.kernels().scale(values + begin * cols, factor, to.data + begin * cols, (end - begin) * cols);
      return;
    }
    for (int64_t i = begin * cols; i < end * cols; ++i) to.data[i] += factor * values[i];
  });
}

Var gated_forward(Graph& graph, kernels::Activation activation, const Var& gate, const Var& up) {
  Var out = graph.create(gate.rows(), gate.cols());
  graph.for_rows(gate.rows(), 8 * gate.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * gate.cols();
    graph.kernels().gated(activation, gate.data() + at, up.data() + at, out.mutable_data() + at,
                          (end - begin) * gate.cols());
  });
  return out;
}

Var rms_norm_forward(Graph& graph, const Var& x, const tensor::Tensor& weight, float epsilon) {
  Var out = graph.create(x.rows(), x.cols());
  graph.for_rows(x.rows(), 2 * x.cols(), [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin * x.cols(); at < end * x.cols(); at += weight.cols)
      graph.kernels().rms_norm(x.data() + at, weight.floats(), epsilon, out.mutable_data() + at, weight.cols);
  });
  return out;
}

/// The weight's gradient is summed over fixed groups of rows, then over the groups in order, so that it does not depend
/// on which thread computes what.
void rms_norm_backward(Graph& graph, const Var& x, const tensor::Tensor& weight, float epsilon, const Gradient& dout,
                       float* dweight) {
  constexpr int64_t kGroup = 64;
  int64_t cols = x.cols(), groups = (x.rows() + kGroup - 1) / kGroup;
  Gradient dx(x);
  Var unwanted;  // where x's gradient goes when nobody wants it
  if (!dx.needed()) unwanted = graph.create(x.rows(), cols);
  Gradient::Sum to = dx.needed() ? dx.sum() : Gradient::Sum{unwanted.mutable_data(), false};
  Var partial = graph.create(dweight != nullptr ? groups : 0, weight.cols);
  graph.for_rows(groups, kGroup * 4 * cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t group = begin; group < end; ++group) {
      float* sums = dweight != nullptr ? partial.mutable_data() + group * weight.cols : nullptr;
      if (sums != nullptr) std::fill(sums, sums + weight.cols, 0.0f);
      int64_t last = std::min(x.rows(), (group + 1) * kGroup);
      for (int64_t at = group * kGroup * cols; at < last * cols; at += weight.cols)
        graph.kernels().training->rms_norm_backward(x.data() + at, weight.floats(), epsilon, dout.data() + at,
                                                    to.data + at, to.accumulate, sums, weight.cols);
    }
  });
  for (int64_t group = 0; group < partial.rows(); ++group)
    graph.kernels().add(dweight, partial.row(group), dweight, weight.cols);
}

}  // namespace

Var operator+(const Var& a, const Var& b) {
  RETORT_CHECK(a.rows() == b.rows());
  RETORT_CHECK(a.cols() == b.cols());
  Graph& graph = a.graph();
  Var out = graph.create(a.rows(), a.cols());
  graph.for_rows(a.rows(), a.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * a.cols();
    graph.kernels().add(a.data() + at, b.data() + at, out.mutable_data() + at, (end - begin) * a.cols());
  });
  if (needs_gradient({&a, &b}))
    graph.record(out, [a = Gradient(a), b = Gradient(b)](Gradient& dout) mutable {
      if (b.needed()) add_to(b, dout.data(), 1);
      if (a.needed()) a.take(dout);
    });
  return out;
}

Var scale(Graph& graph, const Var& x, float factor) {
  Var out = graph.create(x.rows(), x.cols());
  graph.for_rows(x.rows(), x.cols(), [&](int64_t begin, int64_t end, int) {
    int64_t at = begin * x.cols();
    graph.kernels().scale(x.data() + at, factor, out.mutable_data() + at, (end - begin) * x.cols());
  });
  if (needs_gradient({&x}))
    graph.record(out, [x = Gradient(x), factor](Gradient& dout) mutable { add_to(x, dout.data(), factor); });
  return out;
}

Var gated(Graph& graph, kernels::Activation activation, const Var& gate, const Var& up) {
  RETORT_CHECK(gate.rows() == up.rows());
  RETORT_CHECK(gate.cols() == up.cols());
  Var out = gated_forward(graph, activation, gate, up);
  if (needs_gradient({&gate, &up})) {
    out.set_recipe([&graph, activation, gate, up] { return gated_forward(graph, activation, gate, up); });
    graph.record(out, [&graph, activation, gate, up](Gradient& dout) {
      // Each is read by this operation alone, as gate and up of one layer: their gradients are written.
      Gradient dgate(gate), dup(up);
      Gradient::Sum to_gate = dgate.sum(), to_up = dup.sum();
      RETORT_CHECK(!to_gate.accumulate);
      RETORT_CHECK(!to_up.accumulate);
      graph.for_rows(gate.rows(), 16 * gate.cols(), [&](int64_t begin, int64_t end, int) {
        int64_t at = begin * gate.cols();
        graph.kernels().training->gated_backward(activation, gate.data() + at, up.data() + at, dout.data() + at,
                                                 to_gate.data + at, to_up.data + at, (end - begin) * gate.cols());
      });
    });
  }
  return out;
}

Var rms_norm(Graph& graph, const Var& x, const tensor::Tensor& weight, float epsilon) {
  RETORT_CHECK(x.cols() % weight.cols == 0);
  Var out = rms_norm_forward(graph, x, weight, epsilon);
  float* dweight = graph.training() != nullptr ? graph.training()->gradient_of(weight) : nullptr;
  if (needs_gradient({&x}) || dweight != nullptr) {
    out.set_recipe([&graph, x, weight, epsilon] { return rms_norm_forward(graph, x, weight, epsilon); });
    graph.record(out, [&graph, x, weight, epsilon, dweight](Gradient& dout) {
      rms_norm_backward(graph, x, weight, epsilon, dout, dweight);
    });
  }
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
  float* dtable = graph.training() != nullptr ? graph.training()->gradient_of(table) : nullptr;
  if (dtable != nullptr)
    graph.record(out, [&graph, ids, dtable](Gradient& dout) {
      for (size_t i = 0; i < ids.size(); ++i) {
        float* to = dtable + ids[i] * dout.cols();
        graph.kernels().add(to, dout.data() + static_cast<int64_t>(i) * dout.cols(), to, dout.cols());
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
  if (needs_gradient({&x}))
    graph.record(out, [&graph, x = Gradient(x), indices](Gradient& dout) mutable {
      float* to = x.zeroed();
      for (size_t i = 0; i < indices.size(); ++i) {
        float* row = to + indices[i] * x.cols();
        graph.kernels().add(row, dout.data() + static_cast<int64_t>(i) * x.cols(), row, x.cols());
      }
    });
  return out;
}

}  // namespace retort::graph
