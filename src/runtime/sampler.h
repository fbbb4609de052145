// Sampler: chooses the next token from logits.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace retort::runtime {

/// The first of the largest logits (one at least), as sample() below chooses it at temperature 0 without penalties.
int32_t likeliest(std::span<const float> logits);

/// How to choose. The defaults take the likeliest token. Applied in this order, as llama.cpp does: logit bias,
/// penalties, top-k, top-p, min-p, temperature, draw.
struct SamplingOptions {
  float temperature = 0;        // 0: greedy; higher is more varied
  int top_k = 0;                // keep the k likeliest; 0: all
  float top_p = 1;              // keep the likeliest that together reach this probability; 1: all
  float min_p = 0;              // keep those at least this fraction as likely as the likeliest; 0: all
  float repeat_penalty = 1;     // divide positive logits of recent tokens by it, multiply negative ones; 1: none
  float presence_penalty = 0;   // subtract from the logits of recent tokens
  float frequency_penalty = 0;  // subtract for each time a token is recent
  int penalty_window = 64;      // how many tokens are recent
  std::vector<std::pair<int32_t, float>> logit_bias;  // added to the logits of tokens
  uint64_t seed = 0;                                  // the same seed and logits give the same tokens, on every machine
};

/// Not thread-safe; one per sequence. sample() and accept() do not allocate.
class Sampler {
 public:
  /// Refuses options outside their ranges, naming the option, and biases of tokens outside the vocabulary.
  static base::Result<Sampler> create(const SamplingOptions& options, int64_t vocabulary_size);

  /// The next token, given the logits of all tokens, which it changes. Equal logits prefer the lower id; NaN counts as
  /// minus infinity. Where a logit is plus infinity, the first such token is taken; where all are minus infinity, token
  /// 0.
  int32_t sample(std::span<float> logits);

  /// Tells that a token (sampled or of the prompt) is now part of the sequence, for the penalties.
  void accept(int32_t token);

 private:
  Sampler(const SamplingOptions& options, int64_t vocabulary_size);
  void penalize(std::span<float> logits);

  struct Candidate {
    float logit;
    int32_t id;
    bool operator<(const Candidate& other) const { return logit != other.logit ? logit > other.logit : id < other.id; }
  };

  SamplingOptions options_;
  base::Random random_;
  std::vector<int32_t> recent_;  // a ring of penalty_window tokens
  size_t recent_at_ = 0, recent_size_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<std::pair<int32_t, int>> counts_;
};

}  // namespace retort::runtime
