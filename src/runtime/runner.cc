#include "runtime/runner.h"

#include <fmt/format.h>

#include <algorithm>

namespace retort::runtime {
namespace {

constexpr int64_t kLogitBytes = int64_t{32} << 20;

}  // namespace

base::Status fits(const graph::KvCache& cache, int64_t count) {
  if (cache.length() + count <= cache.capacity()) return {};
  return base::fail(
      fmt::format("{} tokens after {} do not fit a context of {}: choose a larger one (--context) or a shorter prompt",
                  count, cache.length(), cache.capacity()));
}

Runner::Runner(const models::LanguageModel& model, base::ThreadPool& pool, const kernels::Kernels& kernels)
    : model_(model), workspace_(pool, kernels) {}

base::Status Runner::run(std::span<const Input> inputs, OnLogits on_logits) {
  int64_t vocabulary = model_.hyperparameters().vocabulary_size;
  for (const Input& input : inputs) {
    auto count = static_cast<int64_t>(input.tokens.size());
    RETORT_TRY_STATUS(fits(*input.cache, count));
    for (int32_t token : input.tokens)
      if (token < 0 || token >= vocabulary)
        return base::fail(fmt::format("token id {} is not in the vocabulary of {}", token, vocabulary));
  }

  int64_t logit_rows = std::max<int64_t>(16, kLogitBytes / (vocabulary * 4));
  size_t input = 0;
  int64_t done = 0;  // tokens of inputs[input] already in a chunk
  while (input < inputs.size()) {
    tokens_.clear();
    segments_.clear();
    wanted_.clear();
    origins_.clear();
    while (input < inputs.size()) {
      const Input& in = inputs[input];
      auto room = kChunkTokens - static_cast<int64_t>(tokens_.size());
      if (in.want == Want::kAll) room = std::min(room, logit_rows - static_cast<int64_t>(wanted_.size()));
      if (in.want == Want::kLast && static_cast<int64_t>(wanted_.size()) >= logit_rows) room = 0;
      auto count = static_cast<int64_t>(in.tokens.size());
      int64_t take = std::min(room, count - done);
      if (take <= 0 && count > done) break;
      if (take > 0) {
        auto first_row = static_cast<int64_t>(tokens_.size());
        segments_.push_back({first_row, take, in.cache->length(), in.cache});
        tokens_.insert(tokens_.end(), in.tokens.begin() + done, in.tokens.begin() + done + take);
        for (int64_t i = 0; i < take; ++i) {
          bool last = done + i + 1 == count;
          if (in.want == Want::kNone || (in.want == Want::kLast && !last)) continue;
          wanted_.push_back(first_row + i);
          origins_.push_back({input, done + i});
        }
        done += take;
      }
      if (done < count) break;
      ++input;
      done = 0;
    }
    if (!tokens_.empty()) run_chunk(on_logits);
  }
  return {};
}

void Runner::run_chunk(OnLogits on_logits) {
  graph::Graph graph(workspace_);
  graph::Var logits = model_.logits(graph, {tokens_, segments_, wanted_});
  for (const graph::Segment& segment : segments_) segment.cache->advance(segment.num_rows);
  for (size_t i = 0; i < origins_.size(); ++i) {
    float* row = logits.mutable_data() + static_cast<int64_t>(i) * logits.cols();
    on_logits(origins_[i].input, origins_[i].token, {row, static_cast<size_t>(logits.cols())});
  }
}

}  // namespace retort::runtime
