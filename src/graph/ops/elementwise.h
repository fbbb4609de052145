// Element-wise operations, norms and row gathers.
#pragma once

#include <span>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace retort::graph {

/// a + b, same shape.
Var operator+(const Var& a, const Var& b);

/// x * factor.
Var scale(Graph& graph, const Var& x, float factor);

/// activation(gate) * up, same shape.
Var gated(Graph& graph, kernels::Activation activation, const Var& gate, const Var& up);

/// Root-mean-square norm of every run of weight.cols elements (a whole row, or each head of it), times the weight.
/// Zhang & Sennrich, "Root Mean Square Layer Normalization" (2019).
Var rms_norm(Graph& graph, const Var& x, const tensor::Tensor& weight, float epsilon);

/// The rows of `table` (any type) that `ids` name: (ids, table.cols). Ids must be below table.rows.
Var embedding(Graph& graph, const tensor::Tensor& table, std::span<const int32_t> ids);

/// The given rows of x, in that order; x itself when they are all of its rows.
Var rows(Graph& graph, const Var& x, std::span<const int64_t> indices);

}  // namespace retort::graph
