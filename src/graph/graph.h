// Graph: runs a model's operations as they are called. Var: a reference-counted matrix of fp32 activations in it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "tensor/arena.h"

namespace retort::graph {

class Graph;

/// What a forward pass works with: threads, kernels and reusable memory. One per concurrently running pass; not
/// thread-safe. Kept between passes so that a decoding loop allocates nothing.
class Workspace {
 public:
  /// `pool` and `kernels` must outlive the workspace.
  Workspace(base::ThreadPool& pool, const kernels::Kernels& kernels) : pool_(pool), kernels_(kernels) {}

  base::ThreadPool& pool() { return pool_; }
  const kernels::Kernels& kernels() const { return kernels_; }
  tensor::Arena& arena() { return arena_; }

 private:
  friend class Graph;
  friend class Var;
  struct Node {
    Graph* graph = nullptr;
    int references = 0;
    int64_t rows = 0, cols = 0;
    float* data = nullptr;
    void* quantized_memory = nullptr;  // set by Var::quantized()
    kernels::QuantizedRows quantized;
  };
  Node* take_node();
  void give_back(Node* node);

  base::ThreadPool& pool_;
  const kernels::Kernels& kernels_;
  tensor::Arena arena_;
  std::deque<Node> nodes_;
  std::vector<Node*> free_nodes_;
};

/// A handle to a row-major (rows, cols) matrix of floats, one row per token. Copies share the matrix; its memory
/// returns to the workspace with the last handle. Empty when default-constructed. Handles must not outlive their Graph.
class Var {
 public:
  Var() = default;
  Var(const Var& other) : node_(other.node_) {
    if (node_ != nullptr) ++node_->references;
  }
  Var(Var&& other) noexcept : node_(other.node_) { other.node_ = nullptr; }
  Var& operator=(Var other) noexcept {
    Workspace::Node* mine = node_;
    node_ = other.node_;
    other.node_ = mine;
    return *this;
  }
  ~Var();

  explicit operator bool() const { return node_ != nullptr; }
  Graph& graph() const { return *node_->graph; }
  int64_t rows() const { return node_->rows; }
  int64_t cols() const { return node_->cols; }
  const float* data() const { return node_->data; }
  const float* row(int64_t index) const { return node_->data + index * node_->cols; }

  /// For operations filling their result.
  float* mutable_data() { return node_->data; }

  /// The matrix in 8 bits; computed at the first call and shared by every operation that reads it.
  const kernels::QuantizedRows& quantized() const;

 private:
  friend class Graph;
  explicit Var(Workspace::Node* node) : node_(node) { ++node_->references; }
  Workspace::Node* node_ = nullptr;
};

/// One forward pass. Operations (graph/ops/) take it, compute at once, and return new Vars.
class Graph {
 public:
  explicit Graph(Workspace& workspace) : workspace_(workspace) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A matrix with undefined content.
  Var create(int64_t rows, int64_t cols);

  Workspace& workspace() { return workspace_; }
  base::ThreadPool& pool() { return workspace_.pool(); }
  const kernels::Kernels& kernels() const { return workspace_.kernels(); }

  /// Calls function(begin, end, thread) over [0, rows), on all threads when rows * cost_per_row (in multiply-adds or
  /// so) is worth waking them, on this one otherwise.
  template <class F>
  void for_rows(int64_t rows, int64_t cost_per_row, F&& function) {
    constexpr int64_t kWorthSharing = 16384;
    int64_t threads = pool().num_threads();
    if (threads == 1 || rows * cost_per_row < kWorthSharing) {
      if (rows > 0) function(int64_t{0}, rows, 0);
      return;
    }
    pool().parallel_for(rows, (rows + 4 * threads - 1) / (4 * threads), function);
  }

 private:
  Workspace& workspace_;
};

/// Memory for the length of one operation: `bytes` for each thread, 64-byte aligned.
class Scratch {
 public:
  Scratch(Graph& graph, int64_t bytes_per_thread);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* of(int thread) const { return memory_ + thread * bytes_per_thread_; }

 private:
  tensor::Arena& arena_;
  int64_t bytes_per_thread_, bytes_;
  std::byte* memory_;
};

}  // namespace retort::graph
