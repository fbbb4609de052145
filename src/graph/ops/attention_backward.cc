#include "graph/ops/attention_backward.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "graph/training.h"
#include "kernels/training.h"

namespace retort::graph {
namespace {

constexpr int64_t kQueries = 128;  // whose scores are held at a time

/// Rows of one head within matrices of all heads.
struct HeadRows {
  const float* data = nullptr;
  int64_t stride = 0;
  HeadRows from(int64_t row) const { return {data + row * stride, stride}; }
};

/// Keys and values of one head, and where their gradients go.
struct Keys {
  HeadRows k, v;
  float *dk = nullptr, *dv = nullptr;
  int64_t stride = 0;  // of the gradients
  Keys from(int64_t row) const { return {k.from(row), v.from(row), dk + row * stride, dv + row * stride, stride}; }
};

/// One thread's memory: scores and their gradients for a block of queries, and what products need.
struct Memory {
  float* scores;
  float* dscores;
  std::byte* packed;
  std::byte* matmul;
};

class HeadBackward {
 public:
  HeadBackward(const kernels::TrainingKernels& kernels, kernels::Precision precision, const AttentionShape& shape,
               const Memory& memory)
      : kernels_(kernels), precision_(precision), shape_(shape), memory_(memory) {}

  /// Writes dq and adds to dk and dv for one head of one segment of n rows: `own` are its keys and values, `past` those
  /// of the `before` rows that come before it.
  void run(int64_t n, HeadRows q, HeadRows dout, float* dq, int64_t dq_stride, const Keys& own, int64_t before,
           const Keys& past) {
    int64_t dim = shape_.head_dim;
    for (int64_t begin = 0; begin < n; begin += kQueries) {
      int64_t rows = std::min(n, begin + kQueries) - begin, last = before + begin + rows;
      int64_t first = shape_.window > 0 ? std::max<int64_t>(0, before + begin - shape_.window + 1) : 0;
      int64_t keys = last - first;
      HeadRows queries = q.from(begin), douts = dout.from(begin);
      // The positions [first, last) that these queries see are rows of the past, then of their own segment.
      struct Part {
        Keys keys;
        int64_t count, at;
      };
      Part parts[2];
      int num_parts = 0;
      if (first < before) parts[num_parts++] = {past.from(first), before - first, 0};
      int64_t own_first = std::max<int64_t>(0, first - before);
      parts[num_parts++] = {own.from(own_first), last - before - own_first, before + own_first - first};

      auto scores = [&](const Part& part) { return HeadRows{memory_.scores + part.at, keys}; };
      auto dscores = [&](const Part& part) { return HeadRows{memory_.dscores + part.at, keys}; };
      for (const Part& part : std::span(parts, static_cast<size_t>(num_parts))) {
        multiply(queries, rows, dim, false, part.keys.k, true, part.count, memory_.scores + part.at, keys, false);
        multiply(douts, rows, dim, false, part.keys.v, true, part.count, memory_.dscores + part.at, keys, false);
      }
      for (int64_t i = 0; i < rows; ++i) {
        // Of the keys [first, last), query begin + i sees [low, high), counted from first.
        int64_t high = before + begin + i + 1 - first;
        int64_t low = shape_.window > 0 ? std::max<int64_t>(0, high - shape_.window) : 0;
        float *p = memory_.scores + i * keys, *d = memory_.dscores + i * keys;
        kernels_.softmax(p + low, shape_.scale, p + low, high - low);
        kernels_.softmax_backward(p + low, d + low, shape_.scale, d + low, high - low);
        for (float* row : {p, d}) {
          std::fill(row, row + low, 0.0f);
          std::fill(row + high, row + keys, 0.0f);
        }
      }
      bool again = false;
      for (const Part& part : std::span(parts, static_cast<size_t>(num_parts))) {
        multiply(scores(part), part.count, rows, true, douts, false, dim, part.keys.dv, part.keys.stride, true);
        multiply(dscores(part), part.count, rows, true, queries, false, dim, part.keys.dk, part.keys.stride, true);
        multiply(dscores(part), rows, part.count, false, part.keys.k, false, dim, dq + begin * dq_stride, dq_stride,
                 again);
        again = true;
      }
    }
  }

 private:
  /// c (rows, cols) (+)= a (rows, depth) b (depth, cols), factors taken the other way round where they are
  /// `transposed`.
  void multiply(HeadRows a, int64_t rows, int64_t depth, bool a_transposed, HeadRows b, bool b_transposed, int64_t cols,
                float* c, int64_t c_stride, bool accumulate) {
    kernels::MatmulArgs args;
    args.precision = precision_;
    args.row_end = args.a_rows = rows;
    args.col_end = cols;
    args.depth = depth;
    args.a = a.data;
    args.a_stride = a.stride;
    args.a_transposed = a_transposed;
    args.b = reinterpret_cast<const std::byte*>(b.data);
    args.b_row_bytes = b.stride * 4;
    args.b_transposed = b_transposed;
    args.c = c;
    args.c_stride = c_stride;
    args.accumulate = accumulate;
    args.scratch = memory_.matmul;
    args.packed_a = memory_.packed;
    kernels_.matmul_pack(args, memory_.packed, 0, kernels_.matmul_pack_units(args));
    kernels_.matmul(args);
  }

  const kernels::TrainingKernels& kernels_;
  kernels::Precision precision_;
  AttentionShape shape_;
  Memory memory_;
};

/// to (tokens, kv heads) = the sum of from (tokens, heads) over each kv head's group.
void sum_groups(Graph& graph, const Var& from, int64_t group, int64_t head_dim, Gradient::Sum to) {
  int64_t kv_cols = from.cols() / group;
  graph.for_rows(from.rows(), from.cols(), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t head = 0; head < kv_cols / head_dim; ++head) {
        float* sum = to.data + row * kv_cols + head * head_dim;
        const float* heads = from.row(row) + head * group * head_dim;
        if (!to.accumulate) std::fill(sum, sum + head_dim, 0.0f);
        for (int64_t member = 0; member < group; ++member)
          graph.kernels().add(sum, heads + member * head_dim, sum, head_dim);
      }
  });
}

}  // namespace

void attention_backward(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape,
                        std::span<const Segment> segments, const Gradient& dout) {
  const kernels::TrainingKernels& kernels = *graph.kernels().training;
  Gradient dq(q), dk(k), dv(v);
  Gradient::Sum to_q = dq.sum();
  RETORT_CHECK(!to_q.accumulate);  // rotated queries are read by attention alone
  Var dk_heads = graph.create(q.rows(), q.cols()), dv_heads = graph.create(q.rows(), q.cols());
  int64_t longest = 0, dim = shape.head_dim, group = shape.num_heads / shape.num_kv_heads;
  bool shared = false;  // a beginning that several segments add gradients to
  for (const Segment& segment : segments) {
    longest = std::max(longest, segment.first_position + segment.num_rows);
    shared |= segment.first_position > 0;
  }

  int64_t scores_bytes = kQueries * (longest + 16) * 4, packed_bytes = kQueries * (longest + 32 + dim) * 2 + 64;
  Scratch scratch(graph, 2 * scores_bytes + packed_bytes + 128 + kernels.matmul_scratch_bytes);
  // A unit is one head of one segment, or of all of them, one after the other, where they meet.
  int64_t units = (shared ? 1 : static_cast<int64_t>(segments.size())) * shape.num_heads;
  auto compute = [&](int64_t begin, int64_t end, int thread) {
    std::byte* memory = scratch.of(thread);
    auto aligned = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    Memory parts{reinterpret_cast<float*>(memory), reinterpret_cast<float*>(memory + aligned(scores_bytes)),
                 memory + 2 * aligned(scores_bytes), memory + 2 * aligned(scores_bytes) + aligned(packed_bytes)};
    HeadBackward backward(kernels, graph.training()->precision, shape, parts);
    auto keys_of = [&](int64_t head, int64_t row) {
      int64_t at = head * dim, kv_at = head / group * dim, out_at = row * q.cols() + at;
      return Keys{{k.row(row) + kv_at, k.cols()},
                  {v.row(row) + kv_at, v.cols()},
                  dk_heads.mutable_data() + out_at,
                  dv_heads.mutable_data() + out_at,
                  q.cols()};
    };
    auto run = [&](int64_t head, const Segment& segment) {
      int64_t row = segment.first_row, out_at = row * q.cols() + head * dim;
      Keys own = keys_of(head, row);
      for (int64_t i = 0; i < segment.num_rows; ++i) {
        std::fill_n(own.dk + i * own.stride, dim, 0.0f);
        std::fill_n(own.dv + i * own.stride, dim, 0.0f);
      }
      backward.run(segment.num_rows, {q.data() + out_at, q.cols()}, {dout.data() + out_at, q.cols()},
                   to_q.data + out_at, q.cols(), own, segment.first_position, keys_of(head, segments[0].first_row));
    };
    for (int64_t unit = begin; unit < end; ++unit) {
      if (shared)
        for (const Segment& segment : segments) run(unit, segment);
      else
        run(unit % shape.num_heads, segments[static_cast<size_t>(unit / shape.num_heads)]);
    }
  };
  if (longest * longest * dim * units < 32768)
    compute(0, units, 0);
  else
    graph.pool().parallel_for(units, 1, compute);
  if (dk.needed()) sum_groups(graph, dk_heads, group, dim, dk.sum());
  if (dv.needed()) sum_groups(graph, dv_heads, group, dim, dv.sum());
}

}  // namespace retort::graph
