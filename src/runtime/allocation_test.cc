// Decoding allocates nothing: every operator new of this program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "runtime/golden_model.h"
#include "runtime/runner.h"
#include "runtime/sampler.h"

namespace {

std::atomic<int64_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) std::abort();
  return memory;
}

}  // namespace

// The array and nothrow forms call these.
void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

using namespace retort;
using namespace retort::runtime;

TEST(Allocations, AreCounted) {
  int64_t before = allocations;
  auto value = std::make_unique<std::vector<int>>(10);
  EXPECT_EQ(allocations - before, 2);
}

TEST(Allocations, NoneWhileDecoding) {
  constexpr int kWarmUp = 3, kSteps = 40;
  for (const char* name : kGoldenModels) {
    for (size_t sequences : {1u, 3u, 8u}) {
      std::unique_ptr<Model> model = load_golden(name);
      base::ThreadPool pool(2);
      Runner runner(model->network(), pool);
      std::vector<graph::KvCache> caches;
      std::vector<Input> inputs;
      std::vector<int32_t> prompt = random_tokens(20, 1), tokens(sequences, 0);
      for (size_t i = 0; i < sequences; ++i) {
        auto cache = runner.make_cache(128, kernels::KvType::kF16);
        ASSERT_TRUE(cache) << cache.error().message;
        caches.push_back(std::move(*cache));
      }
      SamplingOptions options;
      options.temperature = 0.8f;
      options.top_k = 20;
      options.top_p = 0.9f;
      options.repeat_penalty = 1.1f;
      std::vector<Sampler> samplers;
      for (size_t i = 0; i < sequences; ++i) {
        auto sampler = Sampler::create(options, model->hyperparameters().vocabulary_size);
        ASSERT_TRUE(sampler) << sampler.error().message;
        samplers.push_back(std::move(*sampler));
      }
      auto pick = [&](size_t input, int64_t, std::span<float> logits) {
        tokens[input] = samplers[input].sample(logits);
        samplers[input].accept(tokens[input]);
      };
      for (size_t i = 0; i < sequences; ++i) inputs.push_back({&caches[i], prompt, Want::kLast});
      ASSERT_TRUE(runner.run(inputs, pick));
      int64_t before = 0;
      for (int step = 0; step < kWarmUp + kSteps; ++step) {
        if (step == kWarmUp) before = allocations;
        for (size_t i = 0; i < sequences; ++i) inputs[i] = {&caches[i], {&tokens[i], 1}, Want::kLast};
        auto done = runner.run(inputs, pick);
        if (!done) FAIL() << done.error().message;
      }
      EXPECT_EQ(allocations - before, 0) << name << ", " << sequences << " sequences";
    }
  }
}
