#include "graph/ops/attention.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "graph/ops/attention_backward.h"
#include "graph/ops/attention_parts.h"

namespace retort::graph {
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

/// One layer's attention: what its pieces have in common. Lives for one call of attention().
class LayerAttention {
 public:
  LayerAttention(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape, int layer,
                 const Batch& batch)
      : graph_(graph),
        kernels_(graph.kernels()),
        q_(q),
        k_(k),
        v_(v),
        shape_(shape),
        layer_(layer),
        segments_(batch.segments),
        out_(graph.create(q.rows(), q.cols())),
        joined_k_(joined_rows(graph, k, batch.segments)),
        joined_v_(joined_k_ ? joined_rows(graph, v, batch.segments) : Var()),
        scratch_(graph, kernels_.attention_scratch_bytes(shape.head_dim, shape.num_heads / shape.num_kv_heads)) {
    auto is_kept = [](const Segment& segment) { return segment.kept; };
    auto kept = static_cast<size_t>(std::find_if_not(segments_.begin(), segments_.end(), is_kept) - segments_.begin());
    kept_ = segments_.first(kept);
    alternatives_ = segments_.subspan(kept);
  }

  Var run() {
    for (const Segment& segment : segments_)
      if (segment.cache != nullptr)
        RETORT_CHECK(segment.first_position + segment.num_rows <= segment.cache->capacity());
    for (const Segment& segment : kept_)
      if (segment.cache != nullptr)
        graph_.for_rows(segment.num_rows, 2 * k_.cols(),
                        [&](int64_t begin, int64_t end, int) { store(segment, begin, end, 0, shape_.num_kv_heads); });
    attend_kept();
    if (!alternatives_.empty()) attend_alternatives();
    return out_;
  }

 private:
  /// Rows [begin, end) of a segment's keys and values, kv heads [head_begin, head_end), into its cache.
  void store(const Segment& segment, int64_t begin, int64_t end, int head_begin, int head_end) const {
    store_keys(kernels_, segment, k_, v_, shape_.head_dim, layer_, begin, end, head_begin, head_end);
  }

  /// A block of a segment's queries on one kv head.
  kernels::AttentionArgs arguments(const Segment& segment, int64_t block, int kv_head, int thread) {
    kernels::AttentionArgs args;
    args.query_begin = block * AttentionCut::kQueryBlock;
    args.query_end = std::min(segment.num_rows, args.query_begin + AttentionCut::kQueryBlock);
    args.first_position = segment.first_position;
    args.window = shape_.window;
    args.num_heads = shape_.num_heads;
    args.num_kv_heads = shape_.num_kv_heads;
    args.head_dim = shape_.head_dim;
    args.kv_head_begin = kv_head;
    args.kv_head_end = kv_head + 1;
    args.scale = shape_.scale;
    args.queries = q_.row(segment.first_row);
    args.query_stride = q_.cols();
    if (segment.cache == nullptr && segment.first_position > 0)
      locate_keys(segment, joined_k_, joined_v_, joined_row(segments_, segment), layer_, args);
    else
      locate_keys(segment, k_, v_, segment.first_row, layer_, args);
    args.output = out_.mutable_data() + segment.first_row * out_.cols();
    args.output_stride = out_.cols();
    args.scratch = scratch_.of(thread);
    args.may_round = graph_.rounding() != Rounding::kNone;
    args.may_round_scores = shape_.may_round_scores && segment.cache != nullptr;
    return args;
  }

  /// Calls compute(begin, end, thread) for pieces of work on `segments`, on one thread where there is little.
  template <class Compute>
  void share(std::span<const Segment> segments, int64_t pieces, Compute&& compute) {
    int64_t cost = 0;
    for (const Segment& segment : segments) cost += segment.num_rows * AttentionCut(segment, shape_).keys * q_.cols();
    if (cost < 32768)
      compute(int64_t{0}, pieces, 0);
    else
      graph_.pool().parallel_for(pieces, 1, compute);
  }

  void attend_kept() {
    int64_t pieces = 0, part_rows = 0;
    for (const Segment& segment : kept_) {
      const AttentionCut cut(segment, shape_);
      pieces += cut.num_pieces();
      part_rows += cut.part_rows();
    }
    Var part_outputs = graph_.create(part_rows, q_.cols()), log_sums = graph_.create(part_rows, shape_.num_heads);
    share(kept_, pieces, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t piece = begin; piece < end; ++piece) {
        int64_t local = piece, part_row = 0;
        const Segment* segment = kept_.data();
        for (;; ++segment) {
          const AttentionCut cut(*segment, shape_);
          if (local < cut.num_pieces()) break;
          local -= cut.num_pieces();
          part_row += cut.part_rows();
        }
        const AttentionCut cut(*segment, shape_);
        int64_t part = local / shape_.num_kv_heads % cut.parts;
        // The last blocks see the most keys: handing them out first keeps the threads evenly busy.
        int64_t block = cut.blocks - 1 - local / shape_.num_kv_heads / cut.parts;
        auto args = arguments(*segment, block, static_cast<int>(local % shape_.num_kv_heads), thread);
        if (cut.parts > 1) {
          part_row += part * cut.num_rows;
          args.key_begin = cut.part_begin(part);
          args.key_end = cut.part_begin(part + 1);
          args.output = part_outputs.mutable_data() + part_row * q_.cols();
          args.log_sums = log_sums.mutable_data() + part_row * shape_.num_heads;
        }
        kernels_.attention(args);
      }
    });
    int64_t part_row = 0;
    for (const Segment& segment : kept_) {
      const AttentionCut cut(segment, shape_);
      if (cut.parts > 1)
        join_attention_parts(graph_, cut, shape_, part_outputs.row(part_row), log_sums.row(part_row),
                             out_.mutable_data() + segment.first_row * out_.cols());
      part_row += cut.part_rows();
    }
  }

  /// Alternatives of one cache take turns at the same positions; heads do not meet there.
  void attend_alternatives() {
    share(alternatives_, shape_.num_kv_heads, [&](int64_t begin, int64_t end, int thread) {
      for (const Segment& segment : alternatives_) {
        for (int64_t head = begin; head < end; ++head) {
          auto kv_head = static_cast<int>(head);
          store(segment, 0, segment.num_rows, kv_head, kv_head + 1);
          for (int64_t block = 0; block < AttentionCut(segment, shape_).blocks; ++block)
            kernels_.attention(arguments(segment, block, kv_head, thread));
        }
      }
    });
  }

  Graph& graph_;
  const kernels::Kernels& kernels_;
  const Var &q_, &k_, &v_;
  const AttentionShape& shape_;
  const int layer_;
  std::span<const Segment> segments_, kept_, alternatives_;
  Var out_, joined_k_, joined_v_;
  Scratch scratch_;
};

}  // namespace

Var attention(Graph& graph, const Var& q, const Var& k, const Var& v, const AttentionShape& shape, int layer,
              const Batch& batch) {
  RETORT_CHECK(q.cols() == shape.num_heads * shape.head_dim);
  RETORT_CHECK(k.cols() == shape.num_kv_heads * shape.head_dim);
  Var out = LayerAttention(graph, q, k, v, shape, layer, batch).run();
  if (q.needs_gradient() || k.needs_gradient() || v.needs_gradient())
    graph.record(out, [&graph, q, k, v, shape, segments = batch.segments](Gradient& dout) {
      attention_backward(graph, q, k, v, shape, segments, dout);
    });
  return out;
}

}  // namespace retort::graph
