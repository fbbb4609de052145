#include "runtime/benchmark.h"

#include <algorithm>
#include <chrono>

#include "runtime/sampler.h"

namespace retort::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Decodes `steps` tokens in every cache at once; tokens per second of all together.
base::Result<double> decode(Runner& runner, std::span<graph::KvCache> caches, int64_t steps) {
  std::vector<int32_t> tokens(caches.size(), 100);
  std::vector<Input> inputs(caches.size());
  auto pick = [&](size_t input, int64_t, std::span<float> logits) { tokens[input] = likeliest(logits); };
  Clock::time_point start = Clock::now();
  for (int64_t step = 0; step < steps; ++step) {
    for (size_t i = 0; i < caches.size(); ++i) inputs[i] = {&caches[i], {&tokens[i], 1}, Want::kLast};
    RETORT_TRY_STATUS(runner.run(inputs, pick));
  }
  return static_cast<double>(steps) * static_cast<double>(caches.size()) / seconds_since(start);
}

}  // namespace

base::Result<BenchmarkResult> run_benchmark(const Model& model, Runner& runner, const BenchmarkOptions& options) {
  constexpr int64_t kFirstPrompt = 8, kBatchPrompt = 128, kTokenIds = 32000;
  BenchmarkResult result;
  std::vector<int32_t> prompt(static_cast<size_t>(std::max(options.prompt, kFirstPrompt)));
  for (size_t i = 0; i < prompt.size(); ++i)
    prompt[i] = static_cast<int32_t>((7919 * static_cast<int64_t>(i) + 13) %
                                     std::min(model.hyperparameters().vocabulary_size, kTokenIds));
  std::vector<graph::KvCache> caches;
  auto capacity = static_cast<int64_t>(prompt.size()) + options.generate;
  RETORT_TRY(graph::KvCache cache, runner.make_cache(capacity, options.kv_type));
  caches.push_back(std::move(cache));
  auto feed = [&](int64_t tokens) -> base::Result<double> {
    caches[0].truncate(0);
    Input input{&caches[0], std::span(prompt).first(static_cast<size_t>(tokens)), Want::kLast};
    Clock::time_point start = Clock::now();
    RETORT_TRY_STATUS(runner.run({&input, 1}, [](size_t, int64_t, std::span<float>) {}));
    return seconds_since(start);
  };

  RETORT_TRY(double first, feed(kFirstPrompt));
  result.first_token_ms = first * 1000;
  for (int i = 0; i < options.repeat; ++i) {
    RETORT_TRY(double seconds, feed(options.prompt));
    result.prefill_tokens_per_s = std::max(result.prefill_tokens_per_s, static_cast<double>(options.prompt) / seconds);
    RETORT_TRY(double speed, decode(runner, caches, options.generate));
    result.decode_tokens_per_s = std::max(result.decode_tokens_per_s, speed);
  }

  int64_t shared = std::min(options.prompt, kBatchPrompt);
  for (int64_t sequences : options.batches) {
    while (static_cast<int64_t>(caches.size()) < sequences) {
      RETORT_TRY(graph::KvCache next, runner.make_cache(shared + options.generate, options.kv_type));
      next.copy_prefix(caches[0], shared);
      caches.push_back(std::move(next));
    }
    BatchSpeed batch{sequences, 0};
    for (int i = 0; i < options.repeat; ++i) {
      for (graph::KvCache& each : caches) each.truncate(shared);
      RETORT_TRY(double speed,
                 decode(runner, std::span(caches).first(static_cast<size_t>(sequences)), options.generate));
      batch.tokens_per_s = std::max(batch.tokens_per_s, speed);
    }
    result.batches.push_back(batch);
  }
  return result;
}

ModelCost model_cost(const models::LanguageModel& model) {
  ModelCost cost;
  const tensor::Tensor *embedding = nullptr, *head = nullptr;
  for (const nn::Declaration& declaration : model.declarations().all()) {
    const tensor::Tensor& tensor = *declaration.destination;
    if (!tensor || tensor.rows == 1) continue;
    if (declaration.name == "token_embd.weight") {
      embedding = &tensor;
    } else if (declaration.name == "output.weight") {
      head = &tensor;
    } else {
      cost.weight_bytes += tensor.bytes();
      cost.layer_products += tensor.rows * tensor.cols;
    }
  }
  if (head == nullptr) head = embedding;
  if (head != nullptr) {
    cost.weight_bytes += head->bytes();
    cost.head_products = head->rows * head->cols;
  }
  return cost;
}

double prefill_roof(const ModelCost& cost, double peak_gops, int64_t prompt) {
  auto tokens = static_cast<double>(prompt);
  double operations = 2 * (static_cast<double>(cost.layer_products) * tokens + static_cast<double>(cost.head_products));
  return tokens * peak_gops * 1e9 / operations;
}

double decode_roof(const ModelCost& cost, const Roof& roof) {
  return roof.read_gb_per_s * 1e9 / static_cast<double>(cost.weight_bytes);
}

double batch_roof(const ModelCost& cost, const Roof& roof, double peak_gops, int64_t sequences) {
  double products = static_cast<double>(cost.layer_products) + static_cast<double>(cost.head_products);
  return std::min(static_cast<double>(sequences) * decode_roof(cost, roof), peak_gops * 1e9 / (2 * products));
}

}  // namespace retort::runtime
