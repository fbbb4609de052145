// Declarations: what weights a model wants, stated once. Loading, counting and exporting all read the same list.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/ops/linear.h"
#include "tensor/tensor.h"

namespace retort::nn {

/// One weight: where it goes and what the file must hold. Vectors (one row) must be F32, matrices may be of any type.
struct Declaration {
  std::string name;  // as GGUF files have it, with its suffix: "blk.0.attn_q.weight"
  int64_t rows = 0, cols = 0;
  bool required = true;
  tensor::Tensor* destination = nullptr;
  std::vector<graph::LowRank>* additions = nullptr;  // of a product's matrix: where adapters go
};

/// Filled by a model's constructor, layer by layer; then bound to a file.
class Declarations {
 public:
  void matrix(tensor::Tensor& destination, std::string name, int64_t rows, int64_t cols);
  /// The matrix of a product, which adapters may add to.
  void linear(graph::LinearWeights& destination, std::string name, int64_t rows, int64_t cols);
  void vector(tensor::Tensor& destination, std::string name, int64_t size);
  void optional_matrix(tensor::Tensor& destination, std::string name, int64_t rows, int64_t cols);
  void optional_vector(tensor::Tensor& destination, std::string name, int64_t size);

  const std::vector<Declaration>& all() const { return all_; }

 private:
  std::vector<Declaration> all_;
};

/// A tensor offered by a file, with the file's dimensions: dims[0] is the length of a row.
struct Offer {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<int64_t> dims;
  const std::byte* data = nullptr;
};

/// Points every declared weight at its tensor. All that is missing, superfluous or of the wrong shape or type is
/// reported in one error, `where` (the file) first; `why` explains the expected shapes (the hyper-parameters they come
/// from).
base::Status bind(const Declarations& declarations, const std::vector<Offer>& offers, const std::string& where,
                  const std::string& why);

}  // namespace retort::nn
