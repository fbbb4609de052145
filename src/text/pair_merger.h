// The merging that byte-pair encoding and SentencePiece share: a text is cut into characters, and the cheapest pair of
// neighbours becomes one piece until no pair has a cost. Gage, "A New Algorithm for Data Compression" (1994), in the
// order of Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016). O(n log n).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <queue>
#include <string_view>
#include <vector>

#include "text/utf8.h"

namespace retort::text {

/// Keeps its memory from text to text. Not for several threads at once.
template <class Cost>
class PairMerger {
 public:
  /// `cost_of(left, right)`: the optional cost of two neighbouring pieces of `text`, lowest first; of equal ones the
  /// leftmost is merged first.
  template <class CostOf>
  void merge(std::string_view text, CostOf cost_of) {
    cut(text);
    auto consider = [&](int32_t left, int32_t right) {
      if (left < 0 || right < 0) return;
      std::string_view a = text.substr(at(left).begin, at(left).length);
      std::string_view b = text.substr(at(right).begin, at(right).length);
      if (std::optional<Cost> cost = cost_of(a, b))
        queue_.push({*cost, left, right, static_cast<uint32_t>(a.size() + b.size())});
    };
    for (int32_t i = 1; i < static_cast<int32_t>(symbols_.size()); ++i) consider(i - 1, i);
    while (!queue_.empty()) {
      Candidate best = queue_.top();
      queue_.pop();
      Symbol &left = at(best.left), &right = at(best.right);
      if (left.length == 0 || right.length == 0 || left.length + right.length != best.length) continue;
      left.length = best.length;
      right.length = 0;
      left.next = right.next;
      if (right.next >= 0) at(right.next).previous = best.left;
      consider(left.previous, best.left);
      consider(best.left, left.next);
    }
  }

  /// Calls `f` with each piece that is left of the `text` merged last, in order.
  template <class F>
  void for_each_piece(std::string_view text, F f) const {
    for (const Symbol& symbol : symbols_)
      if (symbol.length > 0) f(text.substr(symbol.begin, symbol.length));
  }

 private:
  struct Symbol {
    uint32_t begin, length;  // within the text; length 0: merged into another
    int32_t previous, next;  // or -1
  };
  struct Candidate {
    Cost cost;
    int32_t left, right;
    uint32_t length;  // of both together when it was found: tells whether it is out of date
    bool operator<(const Candidate& other) const {  // the queue's top is the largest
      return cost != other.cost ? cost > other.cost : left > other.left;
    }
  };

  Symbol& at(int32_t index) { return symbols_[static_cast<size_t>(index)]; }

  void cut(std::string_view text) {
    symbols_.clear();
    for (size_t at = 0; at < text.size();) {
      size_t claimed = static_cast<size_t>(claimed_length(static_cast<unsigned char>(text[at])));
      size_t length = std::min(text.size() - at, claimed);
      auto index = static_cast<int32_t>(symbols_.size());
      symbols_.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1});
      at += length;
    }
    if (!symbols_.empty()) symbols_.back().next = -1;
  }

  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace retort::text
