#include "runtime/runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace retort::runtime {
namespace {

constexpr int64_t kLogitBytes = int64_t{32} << 20;
constexpr int64_t kHiddenBytes = int64_t{12} << 20;  // of a chunk's three matrices (tokens, hidden_dim)

bool has_quantized_products(const models::LanguageModel& model) {
  for (const nn::Declaration& weight : model.declarations().all())
    if (weight.additions != nullptr && tensor::info(weight.destination->dtype).quantized) return true;
  return false;
}

}  // namespace

base::Status fits(const graph::KvCache& cache, int64_t count) {
  if (cache.length() + count <= cache.capacity()) return {};
  return base::fail(
      fmt::format("{} tokens after {} do not fit a context of {}: choose a larger one (--context) or a shorter prompt",
                  count, cache.length(), cache.capacity()));
}

Runner::Runner(const models::LanguageModel& model, base::ThreadPool& pool, const kernels::Kernels& kernels)
    : model_(model),
      chunk_tokens_(
          std::clamp<int64_t>(kHiddenBytes / (3 * 4 * model.hyperparameters().hidden_dim) / 32 * 32, 256, 512)),
      quantized_(has_quantized_products(model)),
      workspace_(pool, kernels) {}

int64_t Runner::room(const Input& input, int64_t count) const {
  int64_t logit_rows = std::max<int64_t>(16, kLogitBytes / (model_.hyperparameters().vocabulary_size * 4));
  int64_t logits_left = logit_rows - static_cast<int64_t>(wanted_.size());
  int64_t room = chunk_tokens_ - static_cast<int64_t>(tokens_.size());
  if (!input.kept) {  // cannot be cut: nothing of it stays for the next chunk
    int64_t wanted = input.want == Want::kAll ? count : input.want == Want::kLast ? 1 : 0;
    return count <= room && (wanted <= logits_left || wanted_.empty()) ? count : 0;
  }
  if (input.want == Want::kAll) return std::min(room, logits_left);
  if (input.want == Want::kLast && logits_left <= 0) return 0;
  return room;
}

bool Runner::is_prompt(std::span<const Input> inputs, const Input& input) {
  if (input.kept) return static_cast<int64_t>(input.tokens.size()) > kShortInput;
  for (const Input& other : inputs)
    if (other.kept && other.cache == input.cache) return is_prompt(inputs, other);
  return false;
}

base::Status Runner::run(std::span<const Input> inputs, OnLogits on_logits) {
  int64_t vocabulary = model_.hyperparameters().vocabulary_size;
  bool kept = true;
  for (const Input& input : inputs) {
    auto count = static_cast<int64_t>(input.tokens.size());
    if (!input.kept) {
      if (count > chunk_tokens_)
        return base::fail(fmt::format("an alternative of {} tokens: expected at most {}", count, chunk_tokens_));
      for (const Input& other : inputs)
        if (other.kept && other.cache == input.cache) count += static_cast<int64_t>(other.tokens.size());
    }
    RETORT_CHECK(kept >= input.kept);  // alternatives come last
    kept = input.kept;
    RETORT_TRY_STATUS(fits(*input.cache, count));
    for (int32_t token : input.tokens)
      if (token < 0 || token >= vocabulary)
        return base::fail(fmt::format("token id {} is not in the vocabulary of {}", token, vocabulary));
  }

  size_t input = 0;
  int64_t done = 0;  // tokens of inputs[input] already in a chunk
  while (input < inputs.size()) {
    tokens_.clear();
    segments_.clear();
    wanted_.clear();
    origins_.clear();
    const bool prompts = is_prompt(inputs, inputs[input]);
    while (input < inputs.size() && is_prompt(inputs, inputs[input]) == prompts) {
      const Input& in = inputs[input];
      auto count = static_cast<int64_t>(in.tokens.size());
      int64_t take = std::min(room(in, count - done), count - done);
      if (take <= 0 && count > done) break;
      if (take > 0) {
        auto first_row = static_cast<int64_t>(tokens_.size());
        int64_t position = in.cache->length();
        if (!in.kept)
          for (const graph::Segment& segment : segments_)
            if (segment.kept && segment.cache == in.cache) position += segment.num_rows;
        segments_.push_back({first_row, take, position, in.cache, in.kept});
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
    if (!tokens_.empty()) run_chunk(prompts, on_logits);
  }
  return {};
}

void Runner::run_chunk(bool prompts, OnLogits on_logits) {
  graph::Graph graph(workspace_);
  graph.set_rounding(prompts && quantized_ && may_round_ ? graph::Rounding::kAll : graph::Rounding::kNone);
  graph::Var hidden = model_.hidden(graph, {tokens_, segments_, wanted_});
  graph.set_rounding(graph::Rounding::kNone);
  graph::Var logits = model_.logits(graph, hidden);
  for (const graph::Segment& segment : segments_)
    if (segment.kept) segment.cache->advance(segment.num_rows);
  for (size_t i = 0; i < origins_.size(); ++i) {
    float* row = logits.mutable_data() + static_cast<int64_t>(i) * logits.cols();
    on_logits(origins_[i].input, origins_[i].token, {row, static_cast<size_t>(logits.cols())});
  }
}

}  // namespace retort::runtime
