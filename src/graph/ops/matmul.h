// Matrix products of activations and gradients, shared between the threads.
#pragma once

#include "graph/graph.h"
#include "kernels/training.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// A float matrix as a product's factor: `transposed` takes it the other way round.
struct Factor {
  const float* data;
  int64_t rows, cols;  // as stored, without gaps
  bool transposed = false;
};

/// A product's left factor in the form that the kernels read, for several products with it.
class PackedFactor {
 public:
  PackedFactor(Graph& graph, const Factor& a);
  PackedFactor(Graph& graph, const kernels::MatmulArgs& args);
  ~PackedFactor();
  PackedFactor(const PackedFactor&) = delete;
  PackedFactor& operator=(const PackedFactor&) = delete;
  const std::byte* data() const { return data_; }  // null where kernels read a factor as it is

 private:
  tensor::Arena& arena_;
  int64_t bytes_;
  std::byte* data_ = nullptr;
};

/// The product that `args` describes, for all a_rows rows and for columns [0, args.col_end) of C.
void matmul(Graph& graph, kernels::MatmulArgs args);

/// c (+)= a b, where c has no gaps. Both factors are taken as they say.
void matmul(Graph& graph, const Factor& a, const Factor& b, float* c, bool accumulate);
/// The same with a stored matrix of any type; `packed`, when not null, is of `a`.
void matmul(Graph& graph, const Factor& a, const tensor::Tensor& b, bool b_transposed, float* c, bool accumulate,
            const PackedFactor* packed = nullptr);

}  // namespace retort::graph
