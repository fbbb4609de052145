#include "graph/ops/linear.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "graph/ops/linear_backward.h"
#include "graph/ops/matmul.h"

namespace retort::graph {
namespace {

constexpr int64_t kFewTokens = 16;           // up to here memory is the limit, and reading ahead pays
constexpr int64_t kMostReaders = 64;         // threads
constexpr size_t kMostMatrices = 8;          // that share an input: queries, keys and values, or gate and up
constexpr int64_t kPieceBytes = 128 * 1024;  // of weights: long enough that handing pieces out costs nothing

/// x W^T + bias of weights that are stored as numbers, in the precision of training.
Var trained_product(Graph& graph, const Var& x, const LinearWeights& weights) {
  Var y = graph.create(x.rows(), weights.matrix.rows);
  matmul(graph, {x.data(), x.rows(), x.cols()}, weights.matrix, true, y.mutable_data(), false);
  if (weights.bias)
    for (int64_t row = 0; row < y.rows(); ++row) {
      float* to = y.mutable_data() + row * y.cols();
      graph.kernels().add(to, weights.bias.floats(), to, y.cols());
    }
  return y;
}

/// What a thread reads that begins with tile `tile` of the row that all matrices' tiles stand in: at most `bytes`, to
/// the end of the matrix.
ReadAhead::Stream stream_from(std::span<const LinearWeights* const> weights, std::span<const int64_t> matrix_tiles,
                              int64_t grain, int64_t tile, int64_t bytes) {
  for (size_t i = 0; i < weights.size(); ++i) {
    if (tile < matrix_tiles[i]) {
      const tensor::Tensor& matrix = weights[i]->matrix;
      int64_t offset = tile * grain * (matrix.bytes() / matrix.rows);
      return {matrix.data + offset, std::min(bytes, matrix.bytes() - offset)};
    }
    tile -= matrix_tiles[i];
  }
  return {};
}

/// outputs[i] = x W^T + bias, for all of them.
void products(Graph& graph, const Var& x, std::span<const LinearWeights* const> weights, std::span<Var> outputs) {
  const kernels::Kernels& kernels = graph.kernels();
  RETORT_CHECK(weights.size() <= kMostMatrices);
  int64_t tokens = x.rows();
  int64_t all_bytes = 0, all_rows = 0, scratch_bytes = 0, grain = 1;
  bool quantized = false;
  for (size_t i = 0; i < weights.size(); ++i) {
    const tensor::Tensor& matrix = weights[i]->matrix;
    RETORT_CHECK(matrix.cols == x.cols());
    outputs[i] = graph.create(tokens, matrix.rows);
    all_bytes += matrix.bytes();
    all_rows += matrix.rows;
    grain = std::max(grain, kernels.linear_row_grain(matrix.dtype, tokens));
    scratch_bytes = std::max(scratch_bytes, kernels.linear_scratch_bytes(matrix.dtype, matrix.cols, tokens));
    quantized |= tensor::info(matrix.dtype).quantized;
  }
  const kernels::QuantizedRows* quants = quantized ? &x.quantized() : nullptr;
  Scratch scratch(graph, scratch_bytes);

  // The tiles of all matrices stand in one row that is cut into equal pieces, a few per thread, so that a thread that
  // is late gets fewer; a piece may end one matrix and begin the next.
  std::array<int64_t, kMostMatrices> matrix_tiles;
  int64_t tiles = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    matrix_tiles[i] = (weights[i]->matrix.rows + grain - 1) / grain;
    tiles += matrix_tiles[i];
  }
  int64_t threads = graph.pool().num_threads();
  int64_t per_thread = std::clamp(all_bytes / threads / kPieceBytes, int64_t{4}, int64_t{16});
  int64_t pieces = std::min(tiles, threads * per_thread);

  auto compute = [&](int64_t piece, int64_t, int thread) {
    int64_t begin = tiles * piece / pieces, end = tiles * (piece + 1) / pieces;
    for (size_t i = 0; i < weights.size() && end > 0; ++i) {
      const LinearWeights& w = *weights[i];
      int64_t rows = w.matrix.rows;
      if (begin < matrix_tiles[i]) {
        kernels::LinearArgs args;
        args.dtype = w.matrix.dtype;
        args.weights = w.matrix.data;
        args.in_features = w.matrix.cols;
        args.row_begin = begin * grain;
        args.row_end = std::min(rows, end * grain);
        args.num_tokens = tokens;
        args.input = x.data();
        args.input_stride = x.cols();
        args.quantized = quants;
        args.bias = w.bias ? w.bias.floats() : nullptr;
        args.output = outputs[i].mutable_data();
        args.output_stride = rows;
        args.scratch = scratch.of(thread);
        args.may_round = graph.rounding() == Rounding::kAll;
        kernels.linear(args);
      }
      begin = std::max<int64_t>(0, begin - matrix_tiles[i]);
      end -= matrix_tiles[i];
    }
  };
  if (threads == 1 || all_rows * x.cols() * tokens < 16384) {
    for (int64_t piece = 0; piece < pieces; ++piece) compute(piece, piece + 1, 0);
    return;
  }
  if (tokens <= kFewTokens && threads <= kMostReaders) {
    std::array<ReadAhead::Stream, kMostReaders> streams;
    for (int64_t thread = 0; thread < threads; ++thread)
      streams[static_cast<size_t>(thread)] =
          stream_from(weights, matrix_tiles, grain, tiles * (pieces * thread / threads) / pieces, all_bytes / threads);
    auto next = graph.workspace().read_ahead().advance(std::span(streams).first(static_cast<size_t>(threads)));
    for (size_t thread = 0; thread < next.size(); ++thread)
      graph.pool().read_ahead(static_cast<int>(thread), next[thread].begin, next[thread].bytes);
  }
  graph.pool().parallel_for(pieces, 1, compute);
}

}  // namespace

Var product(Graph& graph, const Var& x, const LinearWeights& weights) {
  if (graph.training() != nullptr && !tensor::info(weights.matrix.dtype).quantized)
    return trained_product(graph, x, weights);
  const LinearWeights* one = &weights;
  Var output;
  products(graph, x, {&one, 1}, {&output, 1});
  return output;
}

void linear_all(Graph& graph, const Var& x, std::span<const LinearWeights* const> weights, std::span<Var> outputs) {
  bool numbers = false;
  for (const LinearWeights* w : weights) numbers |= !tensor::info(w->matrix.dtype).quantized;
  if (graph.training() != nullptr && numbers)
    for (size_t i = 0; i < weights.size(); ++i) outputs[i] = product(graph, x, *weights[i]);
  else
    products(graph, x, weights, outputs);
  for (size_t i = 0; i < weights.size(); ++i)
    if (!weights[i]->additions.empty() || graph.training() != nullptr) finish_linear(graph, x, *weights[i], outputs[i]);
  if (graph.training() != nullptr) x.release_quantized();
}

Var linear(Graph& graph, const Var& x, const LinearWeights& weights) {
  const LinearWeights* one = &weights;
  Var output;
  linear_all(graph, x, {&one, 1}, {&output, 1});
  return output;
}

}  // namespace retort::graph
