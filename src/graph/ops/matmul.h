// Matrix products of activations and gradients, shared between the threads.
#pragma once

#include "graph/graph.h"
#include "kernels/training.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// The product that `args` describes, for all a_rows rows and for columns [0, args.col_end) of C.
void matmul(Graph& graph, kernels::MatmulArgs args);

/// A float matrix as a product's factor: `transposed` takes it the other way round.
struct Factor {
  const float* data;
  int64_t rows, cols;  // as stored, without gaps
  bool transposed = false;
};

/// c (+)= a b, where c has no gaps. Both factors are taken as they say.
void matmul(Graph& graph, const Factor& a, const Factor& b, float* c, bool accumulate);
/// The same with a stored matrix of any type.
void matmul(Graph& graph, const Factor& a, const tensor::Tensor& b, bool b_transposed, float* c, bool accumulate);

}  // namespace retort::graph
