#include "graph/graph.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "graph/training.h"

namespace retort::graph {

Workspace::Node* Workspace::take_node() {
  if (free_nodes_.empty()) {
    nodes_.emplace_back();
    free_nodes_.reserve(nodes_.size());  // so that giving a node back never allocates
    return &nodes_.back();
  }
  Node* node = free_nodes_.back();
  free_nodes_.pop_back();
  return node;
}

void Workspace::release_quantized(Node* node) {
  if (node->quantized_memory == nullptr) return;
  arena_.release(node->quantized_memory, kernels::QuantizedRows::bytes(node->rows, node->cols));
  node->quantized_memory = nullptr;
}

void Workspace::release_data(Node* node) {
  if (node->data == nullptr) return;
  arena_.release(node->data, node->rows * node->cols * 4);
  node->data = nullptr;
  release_quantized(node);
}

void Workspace::release_gradient(Node* node) {
  if (node->gradient == nullptr) return;
  arena_.release(node->gradient, node->rows * node->cols * 4);
  node->gradient = nullptr;
}

void Workspace::give_back(Node* node) {
  release_data(node);
  release_gradient(node);
  std::function<Var()> recipe = std::move(node->recipe);  // what it holds may end here, too: when the node is done with
  *node = Node{};
  free_nodes_.push_back(node);
}

Var::~Var() {
  if (node_ == nullptr) return;
  Workspace& workspace = node_->graph->workspace();
  if (--node_->data_references == 0) workspace.release_data(node_);
  if (--node_->references == 0) workspace.give_back(node_);
}

void Var::release_quantized() const {
  node_->graph->workspace().release_quantized(node_);
}

Gradient::~Gradient() {
  if (--node_->references == 0) node_->graph->workspace().give_back(node_);
}

Gradient::Sum Gradient::sum() {
  if (node_->gradient != nullptr) return {node_->gradient, true};
  void* memory = node_->graph->workspace().arena().allocate(node_->rows * node_->cols * 4);
  node_->gradient = static_cast<float*>(memory);
  return {node_->gradient, false};
}

float* Gradient::zeroed() {
  Sum to = sum();
  if (!to.accumulate) std::memset(to.data, 0, static_cast<size_t>(rows() * cols() * 4));
  return to.data;
}

void Gradient::take(Gradient& other) {
  RETORT_CHECK(rows() == other.rows());
  RETORT_CHECK(cols() == other.cols());
  if (node_->gradient == nullptr) {
    std::swap(node_->gradient, other.node_->gradient);
    return;
  }
  Graph& graph = *node_->graph;
  graph.for_rows(rows(), cols(), [&](int64_t begin, int64_t end, int) {
    float* to = node_->gradient + begin * cols();
    graph.kernels().add(to, other.data() + begin * cols(), to, (end - begin) * cols());
  });
  graph.workspace().release_gradient(other.node_);
}

void Graph::record(const Var& out, Step step) {
  out.node_->needs_gradient = true;
  steps_.push_back({Gradient(out), std::move(step)});
}

bool Graph::keeps(int64_t block) const {
  return block - training_->blocks_frozen < training_->blocks_kept;
}

Var Graph::recomputed(const Var& x, const std::function<Var(const Var&)>& f) {
  size_t mark = steps_.size();
  Var out = f(x);
  while (steps_.size() > mark) steps_.pop_back();
  if (out.needs_gradient())
    record(out, [this, x, f](Gradient& gradient) {
      size_t first = steps_.size();
      Var again = f(x);
      Gradient(again).take(gradient);
      run_steps_from(first);
    });
  return out;
}

void Graph::run_steps_from(size_t first) {
  while (steps_.size() > first) {
    Recorded last = std::move(steps_.back());
    steps_.pop_back();
    if (last.out.data() != nullptr) last.step(last.out);
    workspace_.release_gradient(last.out.node_);
  }
}

const kernels::QuantizedRows& Var::quantized() const {
  if (node_->quantized_memory == nullptr) {
    Graph& graph = *node_->graph;
    node_->quantized_memory =
        graph.workspace().arena().allocate(kernels::QuantizedRows::bytes(node_->rows, node_->cols));
    node_->quantized = kernels::QuantizedRows::at(node_->quantized_memory, node_->rows, node_->cols);
    graph.for_rows(node_->rows, node_->cols, [&](int64_t begin, int64_t end, int) {
      graph.kernels().quantize_rows(node_->data, node_->cols, node_->quantized, begin, end);
    });
  }
  return node_->quantized;
}

Var Graph::create(int64_t rows, int64_t cols) {
  Workspace::Node* node = workspace_.take_node();
  node->graph = this;
  node->rows = rows;
  node->cols = cols;
  node->data = static_cast<float*>(workspace_.arena().allocate(rows * cols * 4));
  return Var(node);
}

Scratch::Scratch(Graph& graph, int64_t bytes_per_thread)
    : arena_(graph.workspace().arena()),
      bytes_per_thread_((bytes_per_thread + 63) / 64 * 64),
      bytes_(bytes_per_thread_ * graph.pool().num_threads()),
      memory_(static_cast<std::byte*>(arena_.allocate(bytes_))) {}

Scratch::~Scratch() {
  arena_.release(memory_, bytes_);
}

}  // namespace retort::graph
