#include "graph/ops/rope.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace retort::graph {

Var rope_angles(Graph& graph, const Rope& rope, const Batch& batch) {
  int half = rope.dim / 2;
  Var out = graph.create(batch.num_tokens(), rope.dim);
  Scratch scratch(graph, half * 8);
  auto* frequencies = reinterpret_cast<double*>(scratch.of(0));
  for (int i = 0; i < half; ++i) {
    frequencies[i] = rope.position_scale * std::pow(rope.base, -2.0 * i / rope.dim);
    if (rope.factors != nullptr) frequencies[i] /= rope.factors[i];
  }
  for (const Segment& segment : batch.segments) {
    graph.for_rows(segment.num_rows, 32 * half, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = out.mutable_data() + (segment.first_row + i) * rope.dim;
        for (int j = 0; j < half; ++j) {
          double angle = static_cast<double>(segment.first_position + i) * frequencies[j];
          row[j] = static_cast<float>(std::cos(angle));
          row[half + j] = static_cast<float>(std::sin(angle));
        }
      }
    });
  }
  return out;
}

namespace {

/// A rotation's gradient is the rotation back.
void rope_backward(Graph& graph, Gradient& x, int head_dim, const Rope& rope, const Var& angles, const Gradient& dout) {
  Gradient::Sum to = x.sum();
  RETORT_CHECK(!to.accumulate);  // projections are read by their rotation alone
  int half = rope.dim / 2;
  Scratch scratch(graph, half * 4);
  graph.for_rows(x.rows(), 2 * x.cols(), [&](int64_t begin, int64_t end, int thread) {
    auto* back = reinterpret_cast<float*>(scratch.of(thread));
    for (int64_t row = begin; row < end; ++row) {
      const float* cosines = angles.row(row);
      for (int i = 0; i < half; ++i) back[i] = -cosines[half + i];
      for (int64_t at = row * x.cols(); at < (row + 1) * x.cols(); at += head_dim) {
        graph.kernels().rope(rope.layout, dout.data() + at, cosines, back, to.data + at, rope.dim);
        std::copy(dout.data() + at + rope.dim, dout.data() + at + head_dim, to.data + at + rope.dim);
      }
    }
  });
}

}  // namespace

Var apply_rope(Graph& graph, const Var& x, int head_dim, const Rope& rope, const Var& angles) {
  RETORT_CHECK(angles.rows() == x.rows());
  RETORT_CHECK(rope.dim <= head_dim);
  Var out = graph.create(x.rows(), x.cols());
  graph.for_rows(x.rows(), 2 * x.cols(), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* cosines = angles.row(row);
      for (int64_t at = row * x.cols(); at < (row + 1) * x.cols(); at += head_dim) {
        graph.kernels().rope(rope.layout, x.data() + at, cosines, cosines + rope.dim / 2, out.mutable_data() + at,
                             rope.dim);
        std::copy(x.data() + at + rope.dim, x.data() + at + head_dim, out.mutable_data() + at + rope.dim);
      }
    }
  });
  if (x.needs_gradient())
    graph.record(out, [&graph, x = Gradient(x), head_dim, rope, angles](Gradient& dout) mutable {
      rope_backward(graph, x, head_dim, rope, angles, dout);
    });
  return out;
}

}  // namespace retort::graph
