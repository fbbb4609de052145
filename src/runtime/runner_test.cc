// The runner: however tokens are cut into calls, chunks and batches, each sequence gets the logits it gets alone.
#include "runtime/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/golden_model.h"
#include "runtime/requantize.h"

using namespace retort;
using namespace retort::runtime;

namespace {

/// One set-up under test: model, instruction set, threads and how keys and values are kept.
struct Rig {
  Rig(const std::string& name, const kernels::Kernels& kernels, int threads, kernels::KvType kv)
      : Rig(load_golden(name), kernels, threads, kv) {}
  Rig(std::unique_ptr<Model> loaded, const kernels::Kernels& kernels, int threads, kernels::KvType kv)
      : model(std::move(loaded)), pool(threads), runner(model->network(), pool, kernels), kv_type(kv) {}

  graph::KvCache cache(int64_t capacity) {
    auto made = runner.make_cache(capacity, kv_type);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }

  /// Feeds `inputs` in one call; the wanted logits in the order they came, each input's rows one after the other.
  std::vector<std::vector<float>> run(std::span<const Input> inputs) {
    std::vector<std::vector<float>> out(inputs.size());
    auto status = runner.run(inputs, [&](size_t input, int64_t, std::span<float> logits) {
      out[input].insert(out[input].end(), logits.begin(), logits.end());
    });
    EXPECT_TRUE(status) << status.error().message;
    return out;
  }

  std::vector<float> run(graph::KvCache& cache, std::span<const int32_t> tokens, Want want) {
    Input input{&cache, tokens, want};
    return run({&input, 1})[0];
  }

  std::unique_ptr<Model> model;
  base::ThreadPool pool;
  Runner runner;
  kernels::KvType kv_type;
};

/// Root of the mean square difference, over that of the expected; infinite when sizes differ or anything is NaN.
double relative_error(const std::vector<float>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size() || expected.empty()) return HUGE_VAL;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  double error = std::sqrt(difference / norm);
  return std::isnan(error) ? HUGE_VAL : error;
}

/// fp32 weights: what another order of summation may change. A cache in fewer bits rounds keys that differ in the last
/// bit of fp32 to neighbouring values now and then.
double tolerance(kernels::KvType kv) {
  return kv == kernels::KvType::kF32 ? 1e-5 : kv == kernels::KvType::kF16 ? 1e-3 : 1e-2;
}

int32_t argmax(const std::vector<float>& logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

using Case = std::tuple<const char*, const kernels::Kernels*, kernels::KvType>;

class RunnerTest : public testing::TestWithParam<Case> {
 protected:
  RunnerTest() : rig_(std::get<0>(GetParam()), *std::get<1>(GetParam()), 2, std::get<2>(GetParam())) {}
  double limit() const { return tolerance(std::get<2>(GetParam())); }
  Rig rig_;
};

std::string case_name(const testing::TestParamInfo<Case>& tested) {
  constexpr const char* kKvNames[] = {"f32", "f16", "q8_0"};
  std::string name = std::string(std::get<0>(tested.param)) + "_" + std::string(std::get<1>(tested.param)->name) + "_" +
                     kKvNames[static_cast<int>(std::get<2>(tested.param))];
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// A q8_0 cache needs heads of a multiple of 32: llama-rope-scaled and gemma3 have them.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* model : kGoldenModels)
    for (const kernels::Kernels* kernels : kernels::available())
      for (auto kv : {kernels::KvType::kF32, kernels::KvType::kF16, kernels::KvType::kQ8_0}) {
        bool wide = std::string(model) == "gemma3" || std::string(model) == "llama-rope-scaled";
        if (kv != kernels::KvType::kQ8_0 || wide) all.emplace_back(model, kernels, kv);
      }
  return all;
}

}  // namespace

TEST_P(RunnerTest, PrefillAndDecodeGiveWhatOneForwardGives) {
  auto tokens = random_tokens(24, 1);
  graph::KvCache whole = rig_.cache(64), steps = rig_.cache(64);
  std::vector<float> expected = rig_.run(whole, tokens, Want::kAll);
  std::vector<float> actual = rig_.run(steps, std::span(tokens).first(10), Want::kAll);
  for (size_t at = 10; at < tokens.size(); ++at) {
    auto row = rig_.run(steps, std::span(tokens).subspan(at, 1), Want::kLast);
    actual.insert(actual.end(), row.begin(), row.end());
  }
  EXPECT_EQ(steps.length(), 24);
  EXPECT_LE(relative_error(actual, expected), limit());
}

TEST_P(RunnerTest, LongInputsAreCutIntoChunksWithoutATrace) {
  auto tokens = random_tokens(static_cast<size_t>(rig_.runner.chunk_tokens()) + 70, 2);
  graph::KvCache whole = rig_.cache(700), pieces = rig_.cache(700);
  std::vector<float> expected = rig_.run(whole, tokens, Want::kAll), actual;
  for (size_t at = 0, size = 1; at < tokens.size(); at += size, size = 2 * size + 1) {
    size = std::min(size, tokens.size() - at);
    auto rows = rig_.run(pieces, std::span(tokens).subspan(at, size), Want::kAll);
    actual.insert(actual.end(), rows.begin(), rows.end());
  }
  EXPECT_LE(relative_error(actual, expected), limit());
}

TEST_P(RunnerTest, SequencesOfOneBatchGetWhatEachGetsAlone) {
  // Different lengths and pasts, one of them none, then some steps of greedy decoding side by side.
  const std::vector<size_t> past = {0, 5, 17, 1, 40}, now = {9, 1, 3, 30, 2};
  std::vector<graph::KvCache> alone, together;
  std::vector<std::vector<int32_t>> tokens;
  for (size_t i = 0; i < past.size(); ++i) {
    tokens.push_back(random_tokens(past[i] + now[i], 10 + i));
    alone.push_back(rig_.cache(96));
    together.push_back(rig_.cache(96));
    rig_.run(alone[i], std::span(tokens[i]).first(past[i]), Want::kNone);
    rig_.run(together[i], std::span(tokens[i]).first(past[i]), Want::kNone);
  }
  std::vector<std::vector<int32_t>> next(past.size());
  for (size_t i = 0; i < past.size(); ++i)
    next[i].assign(tokens[i].begin() + static_cast<long>(past[i]), tokens[i].end());
  for (int step = 0; step < 12; ++step) {
    std::vector<Input> inputs;
    for (size_t i = 0; i < past.size(); ++i) inputs.push_back({&together[i], next[i], Want::kLast});
    auto batched = rig_.run(inputs);
    for (size_t i = 0; i < past.size(); ++i) {
      auto single = rig_.run(alone[i], next[i], Want::kLast);
      ASSERT_LE(relative_error(batched[i], single), limit()) << "sequence " << i << ", step " << step;
      ASSERT_EQ(argmax(batched[i]), argmax(single)) << "sequence " << i << ", step " << step;
      next[i] = {argmax(single)};
    }
  }
}

TEST_P(RunnerTest, TruncatingAndCopyingAPrefixForgetsTheRest) {
  auto tokens = random_tokens(20, 5), other = random_tokens(20, 6);
  graph::KvCache fresh = rig_.cache(64), used = rig_.cache(64), copy = rig_.cache(48);
  std::vector<float> expected = rig_.run(fresh, tokens, Want::kLast);
  rig_.run(used, std::span(tokens).first(8), Want::kNone);
  rig_.run(used, other, Want::kNone);
  copy.copy_prefix(used, 8);
  used.truncate(8);
  EXPECT_LE(relative_error(rig_.run(used, std::span(tokens).subspan(8), Want::kLast), expected), limit());
  EXPECT_LE(relative_error(rig_.run(copy, std::span(tokens).subspan(8), Want::kLast), expected), limit());
}

TEST_P(RunnerTest, AlternativesGetWhatEachGetsAloneAndLeaveNothingBehind) {
  // The second prompt ends just before a chunk does: some alternatives share its last chunk, the others get their own.
  for (size_t prompt_size : {20, static_cast<int>(rig_.runner.chunk_tokens()) - 5}) {
    auto prompt = random_tokens(prompt_size, 20), after = random_tokens(3, 21);
    graph::KvCache shared = rig_.cache(700);
    rig_.run(shared, std::span(prompt).first(7), Want::kNone);
    std::vector<std::vector<int32_t>> answers;
    std::vector<Input> inputs = {{&shared, std::span(prompt).subspan(7), Want::kLast}};
    for (size_t i = 0; i < 6; ++i) answers.push_back(random_tokens(1 + i % 3, 30 + i));
    for (const auto& answer : answers) inputs.push_back({&shared, answer, Want::kAll, false});
    auto together = rig_.run(inputs);
    ASSERT_EQ(shared.length(), static_cast<int64_t>(prompt_size));

    graph::KvCache alone = rig_.cache(700);
    EXPECT_LE(relative_error(together[0], rig_.run(alone, prompt, Want::kLast)), limit());
    for (size_t i = 0; i < answers.size(); ++i) {
      alone.truncate(static_cast<int64_t>(prompt_size));
      EXPECT_LE(relative_error(together[i + 1], rig_.run(alone, answers[i], Want::kAll)), limit()) << i;
    }
    alone.truncate(static_cast<int64_t>(prompt_size));
    EXPECT_LE(relative_error(rig_.run(shared, after, Want::kAll), rig_.run(alone, after, Want::kAll)), limit());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RunnerTest, testing::ValuesIn(cases()), case_name);

TEST(Runner, QuantizedSequencesOfOneBatchGetWhatEachGetsAlone) {
  // What is rounded for a prompt must not be for a shorter input beside it, and the reverse.
  std::string path = testing::TempDir() + "runner_test_q4_1.gguf";
  ASSERT_TRUE(requantize(test::golden_gguf("llama"), path, {.dtype = tensor::DType::kQ4_1}));
  auto model = Model::load(path);
  ASSERT_TRUE(model) << model.error().message;
  for (const kernels::Kernels* kernels : kernels::available()) {
    Rig rig(std::move(*model), *kernels, 2, kernels::KvType::kF32);
    std::vector<std::vector<int32_t>> tokens;
    std::vector<graph::KvCache> caches;
    std::vector<Input> inputs;
    for (size_t length : {9, 40, 3, 17, 16, 300, 280, 1}) {
      tokens.push_back(random_tokens(length, 40 + length));
      caches.push_back(rig.cache(320));
    }
    for (size_t i = 0; i < tokens.size(); ++i) inputs.push_back({&caches[i], tokens[i], Want::kAll});
    auto together = rig.run(inputs);
    for (size_t i = 0; i < tokens.size(); ++i) {
      graph::KvCache alone = rig.cache(320);
      EXPECT_LE(relative_error(together[i], rig.run(alone, tokens[i], Want::kAll)), 1e-5)
          << kernels->name << ", " << tokens[i].size() << " tokens";
    }
    // Not allowed to round, a prompt gets what it gets in short pieces.
    rig.runner.set_may_round(false);
    graph::KvCache whole = rig.cache(40), pieces = rig.cache(40);
    std::vector<float> expected = rig.run(whole, tokens[1], Want::kAll), actual;
    for (size_t at = 0; at < 40; at += 10) {
      auto row = rig.run(pieces, std::span(tokens[1]).subspan(at, 10), Want::kAll);
      actual.insert(actual.end(), row.begin(), row.end());
    }
    EXPECT_LE(relative_error(actual, expected), 1e-5) << kernels->name;
    model = std::move(rig.model);
  }
}

TEST(Runner, ThreadsDoNotChangeASingleBit) {
  auto tokens = random_tokens(50, 7);
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Rig rig("qwen2", kernels::active(), threads, kernels::KvType::kF16);
    graph::KvCache cache = rig.cache(64);
    auto logits = rig.run(cache, tokens, Want::kAll);
    if (first.empty()) first = logits;
    EXPECT_TRUE(std::equal(first.begin(), first.end(), logits.begin(), logits.end())) << threads << " threads";
  }
}

TEST(Runner, DecodingAfterALongPastGivesWhatOneForwardGives) {
  // Long enough that the keys of one query are shared out.
  auto tokens = random_tokens(1300, 3);
  for (const char* name : kGoldenModels) {
    Rig rig(name, kernels::active(), 2, kernels::KvType::kF16);
    graph::KvCache whole = rig.cache(1300), steps = rig.cache(1300);
    std::vector<float> expected = rig.run(whole, tokens, Want::kLast);
    rig.run(steps, std::span(tokens).first(1297), Want::kNone);
    rig.run(steps, std::span(tokens).subspan(1297, 2), Want::kNone);
    auto actual = rig.run(steps, std::span(tokens).subspan(1299), Want::kLast);
    EXPECT_LE(relative_error(actual, expected), tolerance(rig.kv_type)) << name;
  }
}

TEST(Runner, WantsAreReportedInOrder) {
  Rig rig("llama", kernels::active(), 1, kernels::KvType::kF16);
  graph::KvCache a = rig.cache(8), b = rig.cache(8), c = rig.cache(8), d = rig.cache(8);
  auto tokens = random_tokens(3, 8);
  std::vector<Input> inputs = {
      {&a, tokens, Want::kAll}, {&b, tokens, Want::kNone}, {&c, {}, Want::kLast}, {&d, tokens, Want::kLast}};
  std::vector<std::pair<size_t, int64_t>> seen;
  ASSERT_TRUE(rig.runner.run(inputs, [&](size_t i, int64_t token, std::span<float> logits) {
    seen.emplace_back(i, token);
    EXPECT_EQ(logits.size(), 272u);
  }));
  using P = std::pair<size_t, int64_t>;
  EXPECT_THAT(seen, testing::ElementsAre(P(0, 0), P(0, 1), P(0, 2), P(3, 2)));
  EXPECT_EQ(b.length(), 3);
  EXPECT_EQ(c.length(), 0);
}

TEST(Runner, RefusesBeforeComputingAnything) {
  Rig rig("llama", kernels::active(), 1, kernels::KvType::kF16);
  graph::KvCache roomy = rig.cache(8), tight = rig.cache(4);
  auto tokens = random_tokens(5, 9);
  auto never = [](size_t, int64_t, std::span<float>) { FAIL() << "computed"; };
  std::vector<Input> inputs = {{&roomy, tokens, Want::kLast}, {&tight, tokens, Want::kLast}};
  auto status = rig.runner.run(inputs, never);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "5 tokens after 0 do not fit a context of 4: choose a larger one (--context) or a shorter prompt");
  for (int32_t bad : {-1, 272, 1 << 30}) {
    Input input{&roomy, {&bad, 1}, Want::kLast};
    status = rig.runner.run({&input, 1}, never);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "token id " + std::to_string(bad) + " is not in the vocabulary of 272");
  }
  // An alternative has to fit behind what is kept; it must not be longer than a chunk.
  inputs = {{&roomy, tokens, Want::kLast}, {&roomy, std::span(tokens).first(4), Want::kAll, false}};
  EXPECT_FALSE(rig.runner.run(inputs, never));
  graph::KvCache wide = rig.cache(1000);
  auto many = random_tokens(static_cast<size_t>(rig.runner.chunk_tokens()) + 1, 9);
  Input alternative{&wide, many, Want::kAll, false};
  status = rig.runner.run({&alternative, 1}, never);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "an alternative of 513 tokens: expected at most 512");
  EXPECT_EQ(roomy.length(), 0);
}

TEST(RunnerComparer, RefusesNanAndOtherSizes) {
  EXPECT_EQ(relative_error({std::nanf("")}, {1.0f}), HUGE_VAL);
  EXPECT_EQ(relative_error({1.0f}, {1.0f, 2.0f}), HUGE_VAL);
  EXPECT_EQ(relative_error({}, {}), HUGE_VAL);
  EXPECT_GT(relative_error({1.1f}, {1.0f}), 0.09);
}
