#include "training/pass_batch.h"

#include <algorithm>

namespace retort::training {
namespace {

constexpr int64_t kLeastShared = 8;  // tokens: fewer are not worth a segment

}  // namespace

int64_t useful_length(const Example& example) {
  auto last = static_cast<int64_t>(example.tokens.size()) - 1;
  while (last > 0 && example.loss_weights[static_cast<size_t>(last)] == 0) --last;
  return std::max<int64_t>(last, 0);
}

int64_t shared_length(std::span<const Example* const> examples) {
  const Example* first = nullptr;
  int64_t shared = 0, users = 0;
  for (const Example* example : examples) {
    int64_t length = useful_length(*example);
    if (length == 0) continue;
    ++users;
    auto learned =
        std::find_if(example->loss_weights.begin() + 1, example->loss_weights.end(), [](float w) { return w != 0; });
    // Each keeps at least the row that predicts its first learned token.
    int64_t own = learned - example->loss_weights.begin() - 1;
    if (first == nullptr) {
      first = example;
      shared = own;
      continue;
    }
    shared = std::min(shared, own);
    auto differ = std::mismatch(first->tokens.begin(), first->tokens.begin() + shared, example->tokens.begin());
    shared = differ.first - first->tokens.begin();
  }
  return users > 1 && shared >= kLeastShared ? shared : 0;
}

PassBatch::PassBatch(std::span<const Example* const> examples, bool share)
    : num_shared(share ? shared_length(examples) : 0) {
  for (size_t index = 0; index < examples.size(); ++index) {
    const Example* example = examples[index];
    int64_t length = useful_length(*example);
    if (length == 0) continue;
    if (num_shared > 0 && tokens.empty()) {
      segments.push_back({0, num_shared, 0, nullptr});
      sources.push_back(index);
      tokens.assign(example->tokens.begin(), example->tokens.begin() + num_shared);
    }
    int64_t first =
        static_cast<int64_t>(tokens.size()) - num_shared;  // row of the example's first token, if it had one
    segments.push_back({first + num_shared, length - num_shared, num_shared, nullptr});
    sources.push_back(index);
    for (int64_t i = 1; i <= length; ++i) {
      float weight = example->loss_weights[static_cast<size_t>(i)];
      if (weight == 0) continue;
      wanted.push_back(first + i - 1);
      targets.push_back(example->tokens[static_cast<size_t>(i)]);
      weights.push_back(weight);
    }
    tokens.insert(tokens.end(), example->tokens.begin() + num_shared, example->tokens.begin() + length);
  }
}

int64_t count_rows(std::span<const Example* const> examples, bool share) {
  int64_t shared = share ? shared_length(examples) : 0, rows = shared;
  for (const Example* example : examples)
    if (int64_t length = useful_length(*example); length > 0) rows += length - shared;
  return rows;
}

}  // namespace retort::training
