#include "graph/ops/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "graph/training.h"

namespace retort::graph {

void matmul(Graph& graph, kernels::MatmulArgs args) {
  const kernels::TrainingKernels& kernels = *graph.kernels().training;
  int64_t rows = args.a_rows, cols = args.col_end, threads = graph.pool().num_threads();
  if (rows == 0 || cols == 0) return;
  bool shared = threads > 1 && rows * cols * args.depth >= 65536;

  int64_t packed_bytes = kernels.matmul_packed_bytes(args);
  tensor::Arena& arena = graph.workspace().arena();
  auto* packed = packed_bytes > 0 ? static_cast<std::byte*>(arena.allocate(packed_bytes)) : nullptr;
  int64_t units = kernels.matmul_pack_units(args);
  graph.for_rows(units, shared ? args.depth * rows / std::max<int64_t>(units, 1) : 0,
                 [&](int64_t begin, int64_t end, int) { kernels.matmul_pack(args, packed, begin, end); });
  args.packed_a = packed;

  // Threads take columns, so that each part of B is brought into panels once; where there are too few, they take rows.
  constexpr int64_t kColGrain = 64, kRowGrain = 24;
  int64_t block = tensor::info(args.b_dtype).block_elements;
  int64_t grain = args.b_transposed ? kColGrain : std::max(kColGrain, block);
  bool by_cols = cols >= threads * grain;
  int64_t extent = by_cols ? cols : rows;
  int64_t piece = extent;
  if (shared) {
    if (!by_cols) grain = kRowGrain;
    piece = (extent / (threads * (by_cols ? 2 : 1)) + grain - 1) / grain * grain;
    piece = std::clamp<int64_t>(piece, grain, by_cols ? std::max<int64_t>(256, grain) : INT64_MAX);
  }
  Scratch scratch(graph, kernels.matmul_scratch_bytes);
  auto compute = [&](int64_t begin, int64_t end, int thread) {
    for (int64_t index = begin; index < end; ++index) {
      kernels::MatmulArgs part = args;
      int64_t first = index * piece, last = std::min(extent, first + piece);
      part.row_begin = by_cols ? 0 : first;
      part.row_end = by_cols ? rows : last;
      part.col_begin = by_cols ? first : 0;
      part.col_end = by_cols ? last : cols;
      part.scratch = scratch.of(thread);
      kernels.matmul(part);
    }
  };
  int64_t pieces = (extent + piece - 1) / piece;
  if (shared)
    graph.pool().parallel_for(pieces, 1, compute);
  else
    compute(0, pieces, 0);
  if (packed != nullptr) arena.release(packed, packed_bytes);
}

void matmul(Graph& graph, const Factor& a, const tensor::Tensor& b, bool b_transposed, float* c, bool accumulate) {
  kernels::MatmulArgs args;
  if (graph.training() != nullptr) args.precision = graph.training()->precision;
  args.a = a.data;
  args.a_rows = a.transposed ? a.cols : a.rows;
  args.depth = a.transposed ? a.rows : a.cols;
  args.a_stride = a.cols;
  args.a_transposed = a.transposed;
  args.b_dtype = b.dtype;
  args.b = b.data;
  args.b_row_bytes = b.row_bytes();
  args.b_transposed = b_transposed;
  RETORT_CHECK((b_transposed ? b.cols : b.rows) == args.depth);
  args.col_end = b_transposed ? b.rows : b.cols;
  args.c = c;
  args.c_stride = args.col_end;
  args.accumulate = accumulate;
  matmul(graph, args);
}

void matmul(Graph& graph, const Factor& a, const Factor& b, float* c, bool accumulate) {
  tensor::Tensor stored{tensor::DType::kF32, b.rows, b.cols, reinterpret_cast<const std::byte*>(b.data)};
  matmul(graph, a, stored, b.transposed, c, accumulate);
}

}  // namespace retort::graph
