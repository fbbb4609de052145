#include "graph/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "graph/ops/attention_backward.h"
#include "graph/ops/attention_parts.h"

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

namespace {

/// The keys (or values) of all segments that go on from the first one, each with the first one's before its own: one
/// after the other, as the kernels read them. Empty when there are none.
Var joined_rows(Graph& graph, const Var& k, std::span<const Segment> segments) {
  int64_t rows = 0;
  for (const Segment& segment : segments) {
    if (segment.cache != nullptr || segment.first_position == 0) continue;
    RETORT_CHECK(segment.first_position == segments[0].num_rows);
    RETORT_CHECK(segments[0].first_position == 0);
    rows += segment.first_position + segment.num_rows;
  }
  if (rows == 0) return {};
  Var joined = graph.create(rows, k.cols());
  float* to = joined.mutable_data();
  for (const Segment& segment : segments) {
    if (segment.first_position == 0) continue;
    to = std::copy_n(k.row(segments[0].first_row), segment.first_position * k.cols(), to);
    to = std::copy_n(k.row(segment.first_row), segment.num_rows * k.cols(), to);
  }
  return joined;
}

/// Where in them a segment's begin.
int64_t joined_row(std::span<const Segment> segments, const Segment& segment) {
  int64_t row = 0;
  for (const Segment* other = segments.data(); other != &segment; ++other)
    if (other->first_position > 0) row += other->first_position + other->num_rows;
  return row;
}

/// Where one segment's keys and values are: its cache, or the rows from `row` on of k and v.
void locate_keys(const Segment& segment, const Var& k, const Var& v, int64_t row, int layer,
                 kernels::AttentionArgs& args) {
  if (segment.cache != nullptr) {
    args.type = segment.cache->type();
    args.keys = segment.cache->keys(layer);
    args.values = segment.cache->values(layer);
    args.head_stride = segment.cache->head_stride();
    args.position_stride = segment.cache->position_stride();
    return;
  }
  args.type = kernels::KvType::kF32;
  args.keys = reinterpret_cast<const std::byte*>(k.row(row));
  args.values = reinterpret_cast<const std::byte*>(v.row(row));
  args.head_stride = args.head_dim * 4;
  args.position_stride = k.cols() * 4;
}

/// Rows [begin, end) of a segment, kv heads [head_begin, head_end), into its cache.
void store_keys(const kernels::Kernels& kernels, const Segment& segment, const Var& k, const Var& v, int head_dim,
                int layer, int64_t begin, int64_t end, int head_begin, int head_end) {
  KvCache& cache = *segment.cache;
  for (int64_t i = begin; i < end; ++i) {
    for (int head = head_begin; head < head_end; ++head) {
      int64_t at = head * cache.head_stride() + (segment.first_position + i) * cache.position_stride();
      int64_t from = int64_t{head} * head_dim;
      kernels.store_kv(cache.type(), k.row(segment.first_row + i) + from, cache.keys(layer) + at, head_dim);
      kernels.store_kv(cache.type(), v.row(segment.first_row + i) + from, cache.values(layer) + at, head_dim);
    }
  }
}

}  // namespace

Var attention(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape, int layer,
              const Batch& batch) {
  RETORT_CHECK(q.cols() == shape.num_heads * shape.head_dim);
  RETORT_CHECK(k.cols() == shape.num_kv_heads * shape.head_dim);
  const kernels::Kernels& kernels = graph.kernels();
  Var out = graph.create(q.rows(), q.cols());
  Var joined_k = joined_rows(graph, k, batch.segments);
  Var joined_v = joined_k ? joined_rows(graph, v, batch.segments) : Var();
  Scratch scratch(graph, kernels.attention_scratch_bytes(shape.head_dim, shape.num_heads / shape.num_kv_heads));

  auto arguments = [&](const Segment& segment, int64_t block, int kv_head, int thread) {
    kernels::AttentionArgs args;
    args.query_begin = block * AttentionCut::kQueryBlock;
    args.query_end = std::min(segment.num_rows, args.query_begin + AttentionCut::kQueryBlock);
    args.first_position = segment.first_position;
    args.window = shape.window;
    args.num_heads = shape.num_heads;
    args.num_kv_heads = shape.num_kv_heads;
    args.head_dim = shape.head_dim;
    args.kv_head_begin = kv_head;
    args.kv_head_end = kv_head + 1;
    args.scale = shape.scale;
    args.queries = q.row(segment.first_row);
    args.query_stride = q.cols();
    if (segment.cache == nullptr && segment.first_position > 0)
      locate_keys(segment, joined_k, joined_v, joined_row(batch.segments, segment), layer, args);
    else
      locate_keys(segment, k, v, segment.first_row, layer, args);
    args.output = out.mutable_data() + segment.first_row * out.cols();
    args.output_stride = out.cols();
    args.scratch = scratch.of(thread);
    args.may_round = graph.rounding() != Rounding::kNone;
    args.may_round_scores = shape.may_round_scores && segment.cache != nullptr;
    return args;
  };
  auto split = [&](int64_t pieces, int64_t cost, auto&& compute) {
    if (cost < 32768)
      compute(int64_t{0}, pieces, 0);
    else
      graph.pool().parallel_for(pieces, 1, compute);
  };

  int64_t pieces = 0, cost = 0, alternatives_cost = 0, part_rows = 0;
  std::span<const Segment> kept = batch.segments, alternatives;
  for (const Segment& segment : batch.segments) {
    const AttentionCut cut(segment, shape);
    int64_t work = segment.num_rows * cut.keys * q.cols();
    if (segment.cache != nullptr) RETORT_CHECK(segment.first_position + segment.num_rows <= segment.cache->capacity());
    if (!segment.kept) {
      if (alternatives.empty()) {
        auto at = static_cast<size_t>(&segment - batch.segments.data());
        kept = batch.segments.first(at);
        alternatives = batch.segments.subspan(at);
      }
      alternatives_cost += work;
      continue;
    }
    if (segment.cache != nullptr)
      graph.for_rows(segment.num_rows, 2 * k.cols(), [&](int64_t begin, int64_t end, int) {
        store_keys(kernels, segment, k, v, shape.head_dim, layer, begin, end, 0, shape.num_kv_heads);
      });
    pieces += cut.num_pieces();
    part_rows += cut.part_rows();
    cost += work;
  }
  Var part_outputs = graph.create(part_rows, q.cols()), log_sums = graph.create(part_rows, shape.num_heads);
  split(pieces, cost, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t local = piece, part_row = 0;
      const Segment* segment = kept.data();
      for (;; ++segment) {
        const AttentionCut cut(*segment, shape);
        if (local < cut.num_pieces()) break;
        local -= cut.num_pieces();
        part_row += cut.part_rows();
      }
      const AttentionCut cut(*segment, shape);
      int64_t part = local / shape.num_kv_heads % cut.parts;
      // The last blocks see the most keys: handing them out first keeps the threads evenly busy.
      int64_t block = cut.blocks - 1 - local / shape.num_kv_heads / cut.parts;
      auto args = arguments(*segment, block, static_cast<int>(local % shape.num_kv_heads), thread);
      if (cut.parts > 1) {
        part_row += part * cut.num_rows;
        args.key_begin = cut.part_begin(part);
        args.key_end = cut.part_begin(part + 1);
        args.output = part_outputs.mutable_data() + part_row * q.cols();
        args.log_sums = log_sums.mutable_data() + part_row * shape.num_heads;
      }
      kernels.attention(args);
    }
  });
  int64_t part_row = 0;
  for (const Segment& segment : kept) {
    const AttentionCut cut(segment, shape);
    if (cut.parts > 1)
      join_attention_parts(graph, cut, shape, part_outputs.row(part_row), log_sums.row(part_row),
                           out.mutable_data() + segment.first_row * out.cols());
    part_row += cut.part_rows();
  }
  // Alternatives of one cache take turns at the same positions; heads do not meet there.
  split(alternatives.empty() ? 0 : shape.num_kv_heads, alternatives_cost, [&](int64_t begin, int64_t end, int thread) {
    for (const Segment& segment : alternatives) {
      for (int64_t head = begin; head < end; ++head) {
        auto kv_head = static_cast<int>(head);
        store_keys(kernels, segment, k, v, shape.head_dim, layer, 0, segment.num_rows, kv_head, kv_head + 1);
        for (int64_t block = 0; block < AttentionCut(segment, shape).blocks; ++block)
          kernels.attention(arguments(segment, block, kv_head, thread));
      }
    }
  });
  if (q.needs_gradient() || k.needs_gradient() || v.needs_gradient())
    graph.record(out, [&graph, q, k, v, shape, segments = batch.segments](Gradient& dout) {
      attention_backward(graph, q, k, v, shape, segments, dout);
    });
  return out;
}

}  // namespace retort::graph
