// The sampler: each option alone, the order they apply in, determinism, and logits that no model should produce.
#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

using namespace retort::runtime;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

Sampler make(const SamplingOptions& options, int64_t vocabulary = 1000) {
  auto sampler = Sampler::create(options, vocabulary);
  EXPECT_TRUE(sampler) << sampler.error().message;
  return std::move(*sampler);
}

int32_t sample(Sampler& sampler, std::vector<float> logits) {
  return sampler.sample(logits);
}

/// Which tokens come out in `draws` draws, and how often.
std::map<int32_t, int> histogram(const SamplingOptions& options, const std::vector<float>& logits, int draws = 20000) {
  Sampler sampler = make(options, static_cast<int64_t>(logits.size()));
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sample(sampler, logits)];
  return counts;
}

std::set<int32_t> drawn(const SamplingOptions& options, const std::vector<float>& logits) {
  std::set<int32_t> ids;
  for (auto [id, count] : histogram(options, logits)) ids.insert(id);
  return ids;
}

/// Logits whose softmax is `probabilities`.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  logits.reserve(probabilities.size());
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

using Ids = std::set<int32_t>;

}  // namespace

TEST(Likeliest, IsTheFirstOfTheLargest) {
  retort::base::Random random(3);
  for (size_t size : {1, 15, 16, 17, 1023, 1024, 1025, 3000}) {
    for (int round = 0; round < 200; ++round) {
      std::vector<float> logits(size);
      for (float& logit : logits) {
        logit = static_cast<float>(random.below(40)) - 50;  // many are equal
        if (random.below(4) == 0) logit = kNan;
        if (round % 4 == 1 && random.below(8) == 0) logit = -kInf;
        if (round % 4 == 2 && random.below(200) == 0) logit = kInf;
        if (round % 4 == 3) logit = random.below(2) == 0 ? kNan : -kInf;
      }
      size_t best = 0;
      float largest = -kInf;
      for (size_t i = 0; i < size; ++i)
        if (logits[i] > largest) largest = logits[best = i];
      ASSERT_EQ(likeliest(logits), static_cast<int32_t>(best)) << size;
    }
  }
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOfEquals) {
  Sampler sampler = make({});
  EXPECT_EQ(sample(sampler, {1, 5, 3}), 1);
  EXPECT_EQ(sample(sampler, {1, 5, 5, 2}), 1);
  EXPECT_EQ(sample(sampler, {-3}), 0);
}

TEST(Sampler, TemperatureDrawsByTheSoftmax) {
  SamplingOptions options;
  std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    options.temperature = temperature;
    double total = 0;
    for (double x : p) total += std::pow(x, 1 / temperature);
    auto counts = histogram(options, logits_of(p), 40000);
    for (size_t i = 0; i < p.size(); ++i) {
      double expected = std::pow(p[i], 1 / temperature) / total;
      double error = std::fabs(counts[static_cast<int32_t>(i)] / 40000.0 - expected);
      EXPECT_LE(error, 5 * std::sqrt(expected / 40000)) << "token " << i << " at temperature " << temperature;
    }
  }
}

TEST(Sampler, ExtremeTemperatures) {
  SamplingOptions options;
  options.temperature = 1e-30f;
  EXPECT_EQ(drawn(options, {1, 1.0001f, 0}), (Ids{1}));
  options.temperature = 1e30f;
  EXPECT_EQ(drawn(options, {1, 100, 0}), (Ids{0, 1, 2}));
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  SamplingOptions options;
  options.temperature = 5;
  options.top_k = 2;
  EXPECT_EQ(drawn(options, {1, 4, 2, 3}), (Ids{1, 3}));
  options.top_k = 1;
  EXPECT_EQ(drawn(options, {1, 4, 4, 3}), (Ids{1}));
  options.top_k = 100;
  EXPECT_EQ(drawn(options, {1, 4, 2, 3}), (Ids{0, 1, 2, 3}));
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  SamplingOptions options;
  options.temperature = 1;
  auto logits = logits_of({0.05, 0.5, 0.15, 0.3});
  options.top_p = 0.49f;
  EXPECT_EQ(drawn(options, logits), (Ids{1}));
  options.top_p = 0.51f;
  EXPECT_EQ(drawn(options, logits), (Ids{1, 3}));
  options.top_p = 0.9f;
  EXPECT_EQ(drawn(options, logits), (Ids{1, 2, 3}));
  options.top_p = 1e-6f;
  EXPECT_EQ(drawn(options, logits), (Ids{1}));
  // More tokens than are sorted at a time.
  options.top_p = 0.5f;
  EXPECT_EQ(drawn(options, std::vector<float>(1000, 0.0f)).size(), 500u);
}

TEST(Sampler, MinPKeepsThoseWithinAFactor) {
  SamplingOptions options;
  options.temperature = 1;
  auto logits = logits_of({0.5, 0.26, 0.2, 0.04});
  options.min_p = 0.5f;
  EXPECT_EQ(drawn(options, logits), (Ids{0, 1}));
  options.min_p = 0.39f;
  EXPECT_EQ(drawn(options, logits), (Ids{0, 1, 2}));
  options.min_p = 1;
  EXPECT_EQ(drawn(options, logits), (Ids{0}));
}

TEST(Sampler, TopPIsOfWhatTopKLeavesAndMinPComesAfter) {
  SamplingOptions options;
  options.temperature = 1;
  auto logits = logits_of({0.4, 0.2, 0.2, 0.1, 0.1});
  // Of the two that top-k leaves, the first has 2/3 of the probability.
  options.top_k = 2;
  options.top_p = 0.6f;
  EXPECT_EQ(drawn(options, logits), (Ids{0}));
  // Top-p of 0.7 needs three tokens. Had min-p removed the last two first, 0.7 of the rest would be two.
  options = {};
  options.temperature = 1;
  options.top_p = 0.7f;
  options.min_p = 0.4f;
  EXPECT_EQ(drawn(options, logits), (Ids{0, 1, 2}));
  // The temperature comes last: it neither changes what top-p keeps nor what min-p does.
  options.temperature = 50;
  EXPECT_EQ(drawn(options, logits), (Ids{0, 1, 2}));
}

TEST(Sampler, RepeatPenaltyDividesPositiveAndMultipliesNegative) {
  SamplingOptions options;
  options.repeat_penalty = 2;
  Sampler sampler = make(options);
  sampler.accept(0);
  sampler.accept(0);  // once or often is the same
  sampler.accept(2);
  std::vector<float> logits = {8, 1, -3, 3};
  EXPECT_EQ(sampler.sample(logits), 0);
  EXPECT_THAT(logits, testing::ElementsAre(4, 1, -6, 3));
}

TEST(Sampler, PresenceCountsOnceAndFrequencyEachTime) {
  SamplingOptions options;
  options.presence_penalty = 1;
  options.frequency_penalty = 0.5f;
  Sampler sampler = make(options);
  for (int32_t id : {1, 1, 1, 3}) sampler.accept(id);
  std::vector<float> logits = {0, 3, 2, 1};
  EXPECT_EQ(sampler.sample(logits), 2);
  EXPECT_THAT(logits, testing::ElementsAre(0, 0.5f, 2, -0.5f));
}

TEST(Sampler, PenaltiesForgetWhatLeftTheWindow) {
  SamplingOptions options;
  options.presence_penalty = 10;
  options.penalty_window = 2;
  Sampler sampler = make(options);
  for (int32_t id : {0, 1, 2}) sampler.accept(id);
  std::vector<float> logits = {0, 0, 0};
  sampler.sample(logits);
  EXPECT_THAT(logits, testing::ElementsAre(0, -10, -10));
  options.penalty_window = 0;
  Sampler blind = make(options);
  blind.accept(0);
  logits = {1, 0, 0};
  EXPECT_EQ(blind.sample(logits), 0);
  EXPECT_EQ(logits[0], 1);
}

TEST(Sampler, LogitBiasComesBeforeThePenalties) {
  SamplingOptions options;
  options.repeat_penalty = 2;
  options.logit_bias = {{0, -4}, {2, kInf}, {1, -kInf}};
  Sampler sampler = make(options);
  sampler.accept(0);
  std::vector<float> logits = {3, 100, 0};
  EXPECT_EQ(sampler.sample(logits), 2);
  EXPECT_EQ(logits[0], -2);  // 3 - 4, then doubled for being negative
  EXPECT_EQ(logits[1], -kInf);
}

TEST(Sampler, SameSeedSameTokens) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 40;
  options.top_p = 0.95f;
  std::vector<float> logits;
  logits.reserve(500);
  for (int i = 0; i < 500; ++i) logits.push_back(static_cast<float>((i * 7919) % 97) / 20);
  auto run = [&](uint64_t seed) {
    options.seed = seed;
    Sampler sampler = make(options);
    std::vector<int32_t> ids;
    ids.reserve(64);
    for (int i = 0; i < 64; ++i) ids.push_back(sample(sampler, logits));
    return ids;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(Sampler, NanIsNeverChosenAndInfinityIs) {
  for (float temperature : {0.0f, 1.0f}) {
    SamplingOptions options;
    options.temperature = temperature;
    options.top_k = 3;
    options.top_p = 0.9f;
    options.min_p = 0.1f;
    Sampler sampler = make(options);
    EXPECT_EQ(sample(sampler, {kNan, -5, kNan}), 1);
    EXPECT_EQ(sample(sampler, {1, kInf, kNan, kInf}), 1);
    EXPECT_EQ(sample(sampler, {-kInf, -kInf, -5}), 2);
    EXPECT_EQ(sample(sampler, {-kInf, -kInf}), 0);
    EXPECT_EQ(sample(sampler, {kNan, kNan, kNan}), 0);
    EXPECT_EQ(sample(sampler, {kNan, -kInf}), 0);
  }
}

TEST(Sampler, RefusesOptionsOutOfRangeByName) {
  auto error = [](auto change) {
    SamplingOptions options;
    change(options);
    auto sampler = Sampler::create(options, 100);
    return sampler ? std::string("accepted") : sampler.error().message;
  };
  using O = SamplingOptions;
  EXPECT_EQ(error([](O& o) { o.temperature = -1; }), "temperature is -1, expected 0 or more");
  EXPECT_THAT(error([](O& o) { o.temperature = kNan; }), testing::StartsWith("temperature"));
  EXPECT_THAT(error([](O& o) { o.temperature = kInf; }), testing::StartsWith("temperature"));
  EXPECT_THAT(error([](O& o) { o.top_k = -1; }), testing::StartsWith("top-k"));
  for (float bad : {0.0f, 1.5f, kNan}) EXPECT_THAT(error([&](O& o) { o.top_p = bad; }), testing::StartsWith("top-p"));
  for (float bad : {-0.1f, 1.5f, kNan}) EXPECT_THAT(error([&](O& o) { o.min_p = bad; }), testing::StartsWith("min-p"));
  for (float bad : {0.0f, -1.0f, kInf, kNan})
    EXPECT_THAT(error([&](O& o) { o.repeat_penalty = bad; }), testing::StartsWith("repeat-penalty"));
  EXPECT_THAT(error([](O& o) { o.presence_penalty = kNan; }), testing::StartsWith("presence-penalty"));
  EXPECT_THAT(error([](O& o) { o.frequency_penalty = kInf; }), testing::StartsWith("frequency-penalty"));
  EXPECT_THAT(error([](O& o) { o.penalty_window = -1; }), testing::StartsWith("penalty window"));
  EXPECT_EQ(error([](O& o) {
              o.logit_bias = {{100, 1.0f}};
            }),
            "logit-bias token is 100, expected one of the vocabulary");
  EXPECT_THAT(error([](O& o) { o.logit_bias = {{5, kNan}}; }), testing::StartsWith("logit-bias"));
}
