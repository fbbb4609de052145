#include "graph/ops/matmul.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "graph/training.h"

namespace retort::graph {

PackedFactor::PackedFactor(Graph& graph, const kernels::MatmulArgs& args)
    : arena_(graph.workspace().arena()), bytes_(graph.kernels().training->matmul_packed_bytes(args)) {
  if (bytes_ == 0) return;
  data_ = static_cast<std::byte*>(arena_.allocate(bytes_));
  int64_t units = graph.kernels().training->matmul_pack_units(args);
  graph.for_rows(units, args.depth * args.a_rows / std::max<int64_t>(units, 1), [&](int64_t begin, int64_t end, int) {
    graph.kernels().training->matmul_pack(args, data_, begin, end);
  });
}

PackedFactor::~PackedFactor() {
  if (data_ != nullptr) arena_.release(data_, bytes_);
}

void matmul(Graph& graph, kernels::MatmulArgs args) {
  const kernels::TrainingKernels& kernels = *graph.kernels().training;
  int64_t rows = args.a_rows, cols = args.col_end, threads = graph.pool().num_threads();
  if (rows == 0 || cols == 0) return;
  bool shared = threads > 1 && rows * cols * args.depth >= 65536;

  std::optional<PackedFactor> packed;
  if (args.packed_a == nullptr) args.packed_a = packed.emplace(graph, args).data();

  // Threads take columns, so that each part of B is brought into panels once; where there are too few, they take rows.
  // A few equal pieces each: one too many would leave the other threads waiting.
  constexpr int64_t kColGrain = 32, kRowGrain = 12, kWidePiece = 512;
  int64_t grain =
      args.b_transposed ? kColGrain : std::max<int64_t>(kColGrain, tensor::info(args.b_dtype).block_elements);
  bool by_cols = cols >= 2 * threads * grain;
  int64_t extent = by_cols ? cols : rows, piece = extent;
  if (shared) {
    if (!by_cols) grain = kRowGrain;
    int64_t rounds = by_cols ? (extent + threads * kWidePiece - 1) / (threads * kWidePiece) : 1;
    piece = std::max<int64_t>(1, (extent / (threads * rounds) + grain - 1) / grain) * grain;
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
}

namespace {

kernels::MatmulArgs args_of(Graph& graph, const Factor& a) {
  kernels::MatmulArgs args;
  if (graph.training() != nullptr) args.precision = graph.training()->precision;
  args.a = a.data;
  args.a_rows = a.transposed ? a.cols : a.rows;
  args.depth = a.transposed ? a.rows : a.cols;
  args.a_stride = a.cols;
  args.a_transposed = a.transposed;
  return args;
}

}  // namespace

PackedFactor::PackedFactor(Graph& graph, const Factor& a) : PackedFactor(graph, args_of(graph, a)) {}

void matmul(Graph& graph, const Factor& a, const tensor::Tensor& b, bool b_transposed, float* c, bool accumulate,
            const PackedFactor* packed) {
  kernels::MatmulArgs args = args_of(graph, a);
  if (packed != nullptr) args.packed_a = packed->data();
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
