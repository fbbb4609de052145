// Graph: runs a model's operations as they are called and, when training, records what their gradients need. Var: a
// reference-counted matrix of fp32 activations in it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "graph/read_ahead.h"
#include "kernels/kernels.h"
#include "tensor/arena.h"

namespace retort::graph {

class Graph;
class Var;
struct Training;  // training.h

/// What a forward pass works with: threads, kernels and reusable memory. One per concurrently running pass; not
/// thread-safe. Kept between passes so that a decoding loop allocates nothing.
class Workspace {
 public:
  /// `pool` and `kernels` must outlive the workspace.
  Workspace(base::ThreadPool& pool, const kernels::Kernels& kernels) : pool_(pool), kernels_(kernels) {}

  base::ThreadPool& pool() { return pool_; }
  const kernels::Kernels& kernels() const { return kernels_; }
  tensor::Arena& arena() { return arena_; }
  ReadAhead& read_ahead() { return read_ahead_; }

 private:
  friend class Graph;
  friend class Var;
  friend class Gradient;
  struct Node {
    Graph* graph = nullptr;
    int references = 0;       // Vars and Gradients
    int data_references = 0;  // Vars: the data goes with the last of them
    int64_t rows = 0, cols = 0;
    float* data = nullptr;
    void* quantized_memory = nullptr;  // set by Var::quantized()
    kernels::QuantizedRows quantized;
    bool needs_gradient = false;
    float* gradient = nullptr;
    std::function<Var()> recipe;
  };
  Node* take_node();
  void release_quantized(Node* node);
  void release_data(Node* node);
  void release_gradient(Node* node);
  void give_back(Node* node);

  base::ThreadPool& pool_;
  const kernels::Kernels& kernels_;
  tensor::Arena arena_;
  ReadAhead read_ahead_;
  std::deque<Node> nodes_;
  std::vector<Node*> free_nodes_;
};

/// A handle to a row-major (rows, cols) matrix of floats, one row per token. Copies share the matrix; its memory
/// returns to the workspace with the last handle. Empty when default-constructed. Handles must not outlive their Graph.
class Var {
 public:
  Var() = default;
  Var(const Var& other) : Var(other.node_) {}
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
  /// Forgets that form.
  void release_quantized() const;

  /// Whether something that is trained went into it.
  bool needs_gradient() const { return node_->needs_gradient; }

  /// Computes it once more from what the backward pass keeps anyway; null when that would cost much. Set by operations
  /// that record.
  const std::function<Var()>& recipe() const { return node_->recipe; }
  void set_recipe(std::function<Var()> recipe) const { node_->recipe = std::move(recipe); }

 private:
  friend class Graph;
  friend class Gradient;
  explicit Var(Workspace::Node* node) : node_(node) {
    if (node_ == nullptr) return;
    ++node_->references;
    ++node_->data_references;
  }
  Workspace::Node* node_ = nullptr;
};

/// The gradient of the loss with respect to a Var, which lives on when the Var's data does not. What consumers of the
/// Var contribute is summed.
class Gradient {
 public:
  explicit Gradient(const Var& var) : Gradient(var.node_) {}
  Gradient(const Gradient& other) : Gradient(other.node_) {}
  Gradient& operator=(const Gradient&) = delete;
  ~Gradient();

  /// Whether anything reads it: contributions to others are not worth computing.
  bool needed() const { return node_->needs_gradient; }
  int64_t rows() const { return node_->rows; }
  int64_t cols() const { return node_->cols; }
  Graph& graph() const { return *node_->graph; }
  /// The sum so far (rows, cols); null when there is no contribution.
  const float* data() const { return node_->gradient; }

  /// Where to put a contribution: added to what is there, or written when it is the first.
  struct Sum {
    float* data;
    bool accumulate;
  };
  Sum sum();
  /// The same, with zeros where there was nothing.
  float* zeroed();
  /// Contributes all of another gradient of the same shape, which is spent.
  void take(Gradient& other);

 private:
  friend class Graph;
  explicit Gradient(Workspace::Node* node) : node_(node) { ++node_->references; }
  Workspace::Node* node_;
};

/// What operations may round beyond what they must, for speed.
enum class Rounding : uint8_t {
  kNone,
  kAttention,  // the softmax's weights and the values (kernels::AttentionArgs::may_round)
  kAll,        // and quantized weights (kernels::LinearArgs::may_round)
};

/// One forward pass. Operations (graph/ops/) take it, compute at once, and return new Vars. When training, they leave
/// steps that backward() runs in reverse.
class Graph {
 public:
  /// `training`, when not null, says what is trained, and makes the pass record; it must outlive the graph.
  explicit Graph(Workspace& workspace, const Training* training = nullptr)
      : workspace_(workspace), training_(training) {
    workspace.read_ahead().restart();
  }
  ~Graph() { steps_.clear(); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A matrix with undefined content.
  Var create(int64_t rows, int64_t cols);

  const Training* training() const { return training_; }

  /// What may be rounded beyond what it must, for speed; nothing, unless set.
  Rounding rounding() const { return rounding_; }
  void set_rounding(Rounding rounding) { rounding_ = rounding; }

  /// For operations: `out` depends on something trained, and step(gradient of out) passes its gradient on. What the
  /// step holds lives until it has run; it is not run when out's gradient turns out not to be wanted.
  using Step = std::function<void(Gradient& out)>;
  void record(const Var& out, Step step);

  /// Runs a layer, f(x), forgetting what its gradient needs and computing it again in the backward pass where
  /// `training` asks for that to save memory. What f captures must stay valid until then: it captures by value what the
  /// caller's stack holds.
  template <class F>
  Var block(const Var& x, const F& f) {
    int64_t index = num_blocks_++;
    if (index < num_skipped_) return index + 1 == num_skipped_ ? skipped_output_ : x;
    if (index >= num_wanted_) return x;
    Var out = training_ == nullptr || keeps(index) ? f(x) : recomputed(x, f);
    if (index + 1 == num_wanted_) last_wanted_ = out;
    return out;
  }

  /// Leaves out the first `count` calls of block(): `output` is what the last of them returns.
  void skip_blocks(int64_t count, Var output) {
    num_skipped_ = count;
    skipped_output_ = std::move(output);
  }
  /// Leaves out all calls of block() but the first `count` (at least 1): what the last of them gave is last_block(),
  /// afterwards.
  void stop_after_blocks(int64_t count) { num_wanted_ = count; }
  const Var& last_block() const { return last_wanted_; }

  /// Runs and drops all steps, last to first. Gradients of outputs have been set through Gradient(var).sum().
  void backward() { run_steps_from(0); }

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
  struct Recorded {
    Gradient out;
    Step step;
  };
  void run_steps_from(size_t first);
  bool keeps(int64_t block) const;
  Var recomputed(const Var& x, const std::function<Var(const Var&)>& f);

  Workspace& workspace_;
  const Training* training_;
  Rounding rounding_ = Rounding::kNone;
  std::vector<Recorded> steps_;
  int64_t num_blocks_ = 0, num_skipped_ = 0, num_wanted_ = INT64_MAX;
  Var skipped_output_, last_wanted_;
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
