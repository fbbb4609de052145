#include "graph/graph.h"

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

void Workspace::give_back(Node* node) {
  arena_.release(node->data, node->rows * node->cols * 4);
  if (node->quantized_memory != nullptr)
    arena_.release(node->quantized_memory, kernels::QuantizedRows::bytes(node->rows, node->cols));
  *node = Node{};
  free_nodes_.push_back(node);
}

Var::~Var() {
  if (node_ != nullptr && --node_->references == 0) node_->graph->workspace().give_back(node_);
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
