// Classification without generating: how likely each label is as the whole answer to a prompt.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "graph/kv_cache.h"
#include "runtime/runner.h"

namespace retort::tasks {

/// Of one prompt, in the order of the labels.
struct LabelScores {
  /// log P(label's tokens | prompt), the token that ends the answer among them. Length is neither penalised nor made
  /// up for: it is the probability that the model would answer exactly this, so that "net" and "network" compete
  /// fairly.
  std::vector<double> log_probabilities;
  /// The same, scaled to sum to 1 over the labels.
  std::vector<double> probabilities;
  int64_t best = 0;             // the likeliest; the first of equals
  int64_t computed_tokens = 0;  // the prompt's that were not held from before, and the labels'
};

/// Scores labels in the forward pass that reads the prompt: every label's tokens are alternatives behind it, and only
/// the positions that choose between labels reach the output head. Keeps the last prompt's keys and values: the start
/// that the next one shares with it (the instruction) is not computed again. Not thread-safe.
class LabelScorer {
 public:
  /// `labels` are the tokens of each answer, at least one each, no two the same; `context` the positions of a prompt
  /// with its longest label. `runner` must outlive the scorer.
  static base::Result<LabelScorer> create(runtime::Runner& runner, std::vector<std::vector<int32_t>> labels,
                                          int64_t context, kernels::KvType kv_type = kernels::KvType::kF16);

  /// Fails when the prompt is empty, does not fit or has an unknown token.
  base::Result<LabelScores> score(std::span<const int32_t> prompt);

  /// Computes a start of prompts to come.
  base::Status hold(std::span<const int32_t> tokens);

 private:
  LabelScorer(runtime::Runner& runner, graph::KvCache cache, std::vector<std::vector<int32_t>> labels);
  /// Forgets what does not begin `tokens`; returns how many stay, at most `limit`.
  size_t keep_common(std::span<const int32_t> tokens, size_t limit);

  runtime::Runner* runner_;
  graph::KvCache cache_;
  std::vector<int32_t> held_;  // cache_.length() tokens
  std::vector<std::vector<int32_t>> labels_;

  /// A token of a label whose probability is wanted behind some position.
  struct Wanted {
    size_t label;
    int32_t token;
  };
  /// Label tokens fed as one alternative; wanted[i] is what is read behind its token i.
  struct Branch {
    std::vector<int32_t> tokens;
    std::vector<std::vector<Wanted>> wanted;
  };
  std::vector<Wanted> first_;  // behind the prompt
  std::vector<Branch> branches_;
};

}  // namespace retort::tasks
