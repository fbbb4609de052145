#include "runtime/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "base/test_files.h"
#include "formats/gguf_writer.h"
#include "formats/golden_gguf.h"
#include "kernels/dequantize.h"
#include "models/language_model.h"
#include "runtime/requantize.h"

using namespace retort;
using namespace retort::runtime;
using retort::test::fresh_folder;
using retort::test::golden_gguf;
using retort::test::open_gguf;
using retort::test::read_file;
using tensor::DType;
using testing::AllOf;
using testing::HasSubstr;

namespace {

const std::string kLlama = retort::test::golden_folder() + "llama.gguf";  // dim 64, hidden 96, F32

std::vector<float> floats(const formats::GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
  kernels::dequantize_row(tensor.dtype, tensor.data.data(), values.data(), tensor.num_elements());
  return values;
}

/// Multiples of 1/8 below 1, so that sums of their products are exact in any order.
std::vector<float> eighths(int64_t count, base::Random& random) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.below(15)) / 8 - 0.875f);
  return values;
}

MergeInput input_for(const formats::GgufFile& base, std::initializer_list<const char*> targets, float scale,
                     uint64_t seed) {
  base::Random random(seed);
  MergeInput input{{formats::base_identity(base), "test", 4, {}}, scale, "a.gguf"};
  constexpr int64_t kRank = 2;
  for (std::string target : targets) {
    const formats::GgufTensor* weight = base.find_tensor(target + ".weight");
    input.adapter.factors.push_back({target, weight->dims[0], weight->dims[1], kRank,
                                     eighths(kRank * weight->dims[0], random),
                                     eighths(kRank * weight->dims[1], random)});
  }
  return input;
}

/// W + scale * alpha / rank * B A for all inputs with this target, in double precision.
std::vector<double> expected(const formats::GgufTensor& weight, std::span<const MergeInput> inputs) {
  std::vector<float> stored = floats(weight);
  std::vector<double> values(stored.begin(), stored.end());
  for (const MergeInput& input : inputs)
    for (const formats::AdapterFactors& f : input.adapter.factors)
      if (f.target + ".weight" == weight.name)
        for (int64_t row = 0; row < f.out_features; ++row)
          for (int64_t column = 0; column < f.in_features; ++column)
            for (int64_t k = 0; k < f.rank; ++k)
              values[static_cast<size_t>(row * f.in_features + column)] +=
                  static_cast<double>(input.scale) * input.adapter.alpha / static_cast<double>(f.rank) *
                  f.b[static_cast<size_t>(row * f.rank + k)] * f.a[static_cast<size_t>(k * f.in_features + column)];
  return values;
}

}  // namespace

TEST(Merge, AddsTheFactorsExactlyAndCopiesTheRest) {
  std::string out = fresh_folder("merge_exact") + "/out.gguf";
  for (const char* name : {"llama", "qwen2", "gemma3"}) {
    formats::GgufFile base = golden_gguf(name);
    const MergeInput input = input_for(base, {"blk.0.attn_q", "blk.0.attn_k", "blk.1.ffn_down", "blk.1.ffn_up"}, 1, 3);
    auto result = merge(base, {&input, 1}, out);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->merged_tensors, 4);
    EXPECT_EQ(result->bytes, std::filesystem::file_size(out));
    formats::GgufFile merged = open_gguf(out);
    ASSERT_EQ(merged.tensors().size(), base.tensors().size());
    ASSERT_EQ(merged.metadata().size(), base.metadata().size());
    int64_t changed = 0;
    for (size_t i = 0; i < base.tensors().size(); ++i) {
      const formats::GgufTensor &before = base.tensors()[i], &after = merged.tensors()[i];
      ASSERT_EQ(after.name, before.name);
      std::vector<double> wanted = expected(before, {&input, 1});
      std::vector<float> got = floats(after), old = floats(before);
      for (size_t k = 0; k < got.size(); ++k)
        ASSERT_EQ(got[k], static_cast<float>(wanted[k])) << name << " " << after.name << "[" << k << "]";
      changed += got != old;
    }
    EXPECT_EQ(changed, 4);
    EXPECT_TRUE(models::load_model(merged));
    EXPECT_TRUE(formats::check_base(input.adapter, formats::base_identity(merged), "a", "m")) << "still the same base";
  }
}

TEST(Merge, AddsSeveralAdaptersByTheirScales) {
  std::string out = fresh_folder("merge_several") + "/out.gguf";
  formats::GgufFile base = open_gguf(kLlama);
  const MergeInput inputs[] = {input_for(base, {"blk.0.attn_q", "output"}, 1, 1),
                               input_for(base, {"blk.0.attn_q"}, -0.5f, 2)};
  auto result = merge(base, inputs, out);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->merged_tensors, 2);
  formats::GgufFile merged = open_gguf(out);
  for (const char* name : {"blk.0.attn_q.weight", "output.weight", "blk.1.attn_q.weight"}) {
    std::vector<double> wanted = expected(*base.find_tensor(name), inputs);
    std::vector<float> got = floats(*merged.find_tensor(name));
    for (size_t k = 0; k < got.size(); ++k) ASSERT_LE(std::abs(got[k] - wanted[k]), 1e-6) << name << "[" << k << "]";
  }
}

TEST(Merge, KeepsOrChangesTypes) {
  std::string folder = fresh_folder("merge_types"), q4 = folder + "/q4.gguf", out = folder + "/out.gguf";
  ASSERT_TRUE(requantize(open_gguf(kLlama), q4, {.dtype = DType::kQ4_1}));
  formats::GgufFile base = open_gguf(q4);
  const MergeInput input = input_for(base, {"blk.0.ffn_up"}, 0.125f, 5);
  const formats::GgufTensor& before = *base.find_tensor("blk.0.ffn_up.weight");
  std::vector<double> wanted = expected(before, {&input, 1});
  double range = *std::max_element(wanted.begin(), wanted.end()) - *std::min_element(wanted.begin(), wanted.end());

  ASSERT_TRUE(merge(base, {&input, 1}, out));
  formats::GgufFile kept = open_gguf(out);
  EXPECT_EQ(kept.find_tensor("blk.0.ffn_up.weight")->dtype, DType::kQ4_1);
  EXPECT_TRUE(
      std::ranges::equal(kept.find_tensor("blk.1.ffn_up.weight")->data, base.find_tensor("blk.1.ffn_up.weight")->data));
  EXPECT_EQ(**kept.integer("general.file_type"), 3);
  std::vector<float> got = floats(*kept.find_tensor("blk.0.ffn_up.weight"));
  for (size_t k = 0; k < got.size(); ++k) ASSERT_LE(std::abs(got[k] - wanted[k]), range / 15) << k;

  ASSERT_TRUE(merge(base, {&input, 1}, out, {.dtype = DType::kQ8_0}));
  formats::GgufFile changed = open_gguf(out);
  EXPECT_EQ(**changed.integer("general.file_type"), 7);
  for (const char* name : {"blk.0.ffn_up.weight", "blk.1.ffn_up.weight"})
    EXPECT_EQ(changed.find_tensor(name)->dtype, DType::kQ8_0);
  got = floats(*changed.find_tensor("blk.0.ffn_up.weight"));
  for (size_t k = 0; k < got.size(); ++k) ASSERT_LE(std::abs(got[k] - wanted[k]), range / 127) << k;
}

TEST(Merge, IsTheSameWhateverTheThreads) {
  std::string folder = fresh_folder("merge_threads");
  formats::GgufFile base = open_gguf(kLlama);
  const MergeInput input = input_for(base, {"blk.0.attn_q", "output", "blk.1.ffn_gate"}, 1, 9);
  ASSERT_TRUE(merge(base, {&input, 1}, folder + "/one.gguf", {.conversion = {.num_threads = 1}}));
  ASSERT_TRUE(merge(base, {&input, 1}, folder + "/many.gguf", {.conversion = {.num_threads = 4}}));
  EXPECT_TRUE(read_file(folder + "/one.gguf") == read_file(folder + "/many.gguf"));
}

TEST(Merge, RefusesAnotherBase) {
  std::string folder = fresh_folder("merge_refused");
  formats::GgufFile llama = open_gguf(kLlama), qwen2 = golden_gguf("qwen2");
  const MergeInput input = input_for(llama, {"blk.0.attn_q"}, 1, 1);
  EXPECT_THAT(merge(qwen2, {&input, 1}, folder + "/out.gguf").error().message,
              AllOf(HasSubstr("a.gguf: was trained on another model than"), HasSubstr("llama, the model's is qwen2")));
  MergeInput foreign = input;
  foreign.adapter.base = {"qwen2", "", "", ""};
  foreign.adapter.factors[0].in_features = 3;
  EXPECT_THAT(merge(qwen2, {&foreign, 1}, folder + "/out.gguf").error().message,
              HasSubstr("blk.0.attn_q.weight as (64, 3)"));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(Merge, SaysWhatItCannotWrite) {
  std::string folder = fresh_folder("merge_errors"), copy = folder + "/copy.gguf", adapter = folder + "/adapter.gguf";
  std::filesystem::copy_file(kLlama, copy);
  formats::GgufFile base = open_gguf(copy);
  MergeInput input = input_for(base, {"blk.0.attn_q"}, 1, 1);
  EXPECT_THAT(merge(base, {&input, 1}, copy).error().message, HasSubstr("is the input itself"));
  ASSERT_TRUE(formats::write_adapter_gguf(input.adapter, adapter));
  input.path = adapter;
  EXPECT_THAT(merge(base, {&input, 1}, adapter).error().message, HasSubstr("is an adapter to merge"));
  EXPECT_THAT(merge(base, {&input, 1}, folder + "/out.gguf", {.dtype = DType::kQ3_K}).error().message,
              HasSubstr("cannot write Q3_K"));

  formats::GgufWriter writer;  // one matrix in a type that can only be read
  writer.set("general.architecture", "llama");
  const int64_t dims[] = {256, 4};
  writer.add_tensor("blk.0.attn_q.weight", DType::kQ2_K, dims);
  ASSERT_TRUE(writer.begin(folder + "/q2.gguf"));
  ASSERT_TRUE(writer.write(std::vector<std::byte>(4 * 84)));
  ASSERT_TRUE(writer.finish());
  formats::GgufFile q2 = open_gguf(folder + "/q2.gguf");
  const MergeInput for_q2 = input_for(q2, {"blk.0.attn_q"}, 1, 1);
  EXPECT_THAT(merge(q2, {&for_q2, 1}, folder + "/out.gguf").error().message,
              HasSubstr("blk.0.attn_q.weight is stored as Q2_K, which can only be read"));
  EXPECT_TRUE(merge(q2, {&for_q2, 1}, folder + "/out.gguf", {.dtype = DType::kQ4_K}));
}

TEST(Merge, LeavesNothingBehindWhenInterrupted) {
  std::string folder = fresh_folder("merge_interrupted");
  formats::GgufFile base = open_gguf(kLlama);
  const MergeInput input = input_for(base, {"blk.0.attn_q"}, 1, 1);
  std::atomic<bool> cancelled{false};
  MergeOptions options;
  options.conversion.cancelled = &cancelled;
  options.conversion.on_progress = [&](uint64_t done, uint64_t total) { cancelled = done > total / 2; };
  EXPECT_THAT(merge(base, {&input, 1}, folder + "/out.gguf", options).error().message, HasSubstr("interrupted"));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}
