// FrozenActivations: what the frozen lower layers of a model make of a dataset: computed once, kept on disk, and read
// for each pass instead of being computed again in every epoch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "models/language_model.h"
#include "training/dataset.h"
#include "training/pass_batch.h"

namespace retort::training {

/// A file of fp32 rows of model_dim values: what layer number `layers` reads, for every row of every example, those
/// that all examples begin with once. The file has no name: it goes when this does or the process ends, however it
/// ends, and a resumed run computes the same bits again. Movable; not thread-safe.
class FrozenActivations {
 public:
  /// Bytes that the file will have.
  static int64_t file_bytes(const Dataset& dataset, int64_t model_dim);

  /// Reserves the file's space in `folder`, and fails when there is not enough. `dataset` and `model` must outlive
  /// this.
  static base::Result<FrozenActivations> create(const std::string& folder, const Dataset& dataset,
                                                const models::LanguageModel& model, int64_t layers);

  FrozenActivations(FrozenActivations&& other) noexcept;
  FrozenActivations& operator=(FrozenActivations&&) = delete;
  FrozenActivations(const FrozenActivations&) = delete;
  ~FrozenActivations();

  /// Computes the examples of one pass (indices into the dataset). Every example must be computed before it is read.
  base::Status compute(graph::Workspace& workspace, graph::Rounding rounding, std::span<const int64_t> examples);

  /// Makes `graph` begin after the frozen layers with the rows of `pass`, which was laid out from `examples`.
  base::Status begin(graph::Graph& graph, const PassBatch& pass, std::span<const int64_t> examples) const;

 private:
  FrozenActivations(const Dataset& dataset, const models::LanguageModel& model, int64_t layers);
  /// Calls function(file row, example's first token, tokens) for the stretches of the file that hold the example's
  /// tokens [begin, end).
  template <class F>
  base::Status for_stretches(int64_t example, int64_t begin, int64_t end, const F& function) const;

  const Dataset& dataset_;
  const models::LanguageModel& model_;
  int64_t layers_, dim_;
  int64_t num_shared_ = 0;           // tokens that all examples begin with: the file's first rows
  std::vector<int64_t> first_rows_;  // of each example, where its other tokens' rows begin
  bool has_shared_ = false;          // whether those first rows have been computed
  std::string folder_;
  int fd_ = -1;
};

}  // namespace retort::training
