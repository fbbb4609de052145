#include "runtime/requantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "base/test_files.h"
#include "formats/gguf_writer.h"
#include "formats/golden_gguf.h"
#include "kernels/dequantize.h"
#include "models/language_model.h"

using namespace retort;
using namespace retort::runtime;
using retort::test::fresh_folder;
using retort::test::golden_gguf;
using retort::test::open_gguf;
using retort::test::read_file;
using tensor::DType;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

const std::string kLlama = retort::test::golden_folder() + "llama.gguf";  // dim 64, hidden 96, untied head

/// A file of random F32 tensors with rows that suit every type, and some that must not be touched.
std::string write_example(const std::string& folder, const std::string& head = "output.weight") {
  std::string path = folder + "/in.gguf";
  formats::GgufWriter writer;
  writer.set("general.architecture", "example");
  writer.set("general.file_type", uint32_t{0});
  writer.set("split.count", uint16_t{1});
  const int64_t wide[] = {512, 40}, narrow[] = {96, 8}, odd[] = {24, 4}, vector[] = {100};
  writer.add_tensor("blk.0.ffn_down.weight", DType::kF32, wide);
  writer.add_tensor("blk.0.attn_q.weight", DType::kF32, narrow);
  writer.add_tensor("blk.0.odd.weight", DType::kF32, odd);
  writer.add_tensor("blk.0.attn_q.bias", DType::kF32, vector);
  writer.add_tensor("blk.0.ffn_gate_inp.weight", DType::kF32, wide);
  writer.add_tensor(head, DType::kF32, wide);
  EXPECT_TRUE(writer.begin(path));
  base::Random random(5);
  for (int64_t count : {512 * 40, 96 * 8, 24 * 4, 100, 512 * 40, 512 * 40}) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(random.normal());
    EXPECT_TRUE(writer.write(std::as_bytes(std::span(values))));
  }
  EXPECT_TRUE(writer.finish());
  return path;
}

std::vector<DType> types(const formats::GgufFile& file) {
  std::vector<DType> all;
  for (const formats::GgufTensor& tensor : file.tensors()) all.push_back(tensor.dtype);
  return all;
}

std::vector<float> values(const formats::GgufTensor& tensor) {
  std::vector<float> all(static_cast<size_t>(tensor.num_elements()));
  kernels::dequantize_row(tensor.dtype, tensor.data.data(), all.data(), tensor.num_elements());
  return all;
}

/// The largest error of a block (of 32 or 256 elements) over the largest magnitude in it.
double worst_block_error(const formats::GgufTensor& actual, const formats::GgufTensor& expected) {
  std::vector<float> a = values(actual), e = values(expected);
  auto block = static_cast<size_t>(std::max(tensor::info(actual.dtype).block_elements, 32));
  double worst = 0;
  for (size_t begin = 0; begin + block <= a.size(); begin += block) {
    double largest = 0, error = 0;
    for (size_t i = begin; i < begin + block; ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(e[i])));
      double off = std::fabs(static_cast<double>(a[i]) - e[i]);
      if (!(off <= error)) error = std::isnan(off) ? HUGE_VAL : off;
    }
    worst = std::max(worst, error / largest);
  }
  return worst;
}

/// Half a step of each type, in units of a block's largest magnitude, and a little for the rounding of its scales. The
/// K types trade the largest error for the mean one.
struct Bound {
  DType dtype;
  double error;
};
constexpr Bound kBounds[] = {{DType::kF32, 0},
                             {DType::kF16, 1.0 / 2048},
                             {DType::kBF16, 1.0 / 256},
                             {DType::kQ8_0, 0.51 / 127 + 5e-4},
                             {DType::kQ5_0, 1.0 / 16 + 1e-3},
                             {DType::kQ5_1, 1.02 / 31},
                             {DType::kQ4_0, 1.0 / 8 + 1e-3},
                             {DType::kQ4_1, 1.02 / 15},
                             {DType::kQ4_K, 0.1},
                             {DType::kQ5_K, 0.05},
                             {DType::kQ6_K, 0.05}};

}  // namespace

TEST(Requantize, KeepsEveryBlockWithinItsTypesBound) {
  std::string folder = fresh_folder("requantize_bound");
  formats::GgufFile in = open_gguf(write_example(folder));
  for (Bound bound : kBounds) {
    auto result =
        requantize(in, folder + "/out.gguf", {.dtype = bound.dtype, .pure = true, .conversion = {.num_threads = 3}});
    ASSERT_TRUE(result) << result.error().message;
    formats::GgufFile out = open_gguf(folder + "/out.gguf");
    EXPECT_EQ(result->bytes, out.file_bytes());
    ASSERT_EQ(out.tensors().size(), in.tensors().size());
    for (size_t i : {size_t{0}, size_t{5}}) {
      EXPECT_EQ(out.tensors()[i].dtype, bound.dtype);
      double error = worst_block_error(out.tensors()[i], in.tensors()[i]);
      if (!(error <= bound.error)) ADD_FAILURE() << tensor::info(bound.dtype).name << ": " << error;
      if (!(error >= bound.error / 8)) ADD_FAILURE() << tensor::info(bound.dtype).name << " is too good: " << error;
    }
    for (size_t i : {size_t{3}, size_t{4}}) EXPECT_EQ(values(out.tensors()[i]), values(in.tensors()[i]));
    // And back: from every type to F32.
    auto back = requantize(out, folder + "/back.gguf", {.dtype = DType::kF32});
    ASSERT_TRUE(back) << back.error().message;
    formats::GgufFile again = open_gguf(folder + "/back.gguf");
    for (size_t i = 0; i < in.tensors().size(); ++i) {
      EXPECT_EQ(again.tensors()[i].dtype, DType::kF32);
      EXPECT_EQ(values(again.tensors()[i]), values(out.tensors()[i]));
    }
  }
}

TEST(Requantize, ChoosesTypesByShapeAndPurpose) {
  std::string folder = fresh_folder("requantize_types"), out = folder + "/out.gguf";
  formats::GgufFile in = open_gguf(write_example(folder));
  auto result = requantize(in, out, {.dtype = DType::kQ4_K});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(types(open_gguf(out)),
              ElementsAre(DType::kQ4_K, DType::kQ5_0, DType::kF16, DType::kF32, DType::kF32, DType::kQ6_K));
  EXPECT_THAT(result->notes,
              ElementsAre("output.weight is stored as Q6_K: it is the output head",
                          "1 of 6 tensors are stored as F16: their rows are not a multiple of 256, Q4_K's block",
                          "1 of 6 tensors are stored as Q5_0: their rows are not a multiple of 256, Q4_K's block"));
  double bits = (512 * 40 * 4.5 + 96 * 8 * 5.5 + 24 * 4 * 16 + (100 + 512 * 40) * 32 + 512 * 40 * 6.5625) /
                (3 * 512 * 40 + 96 * 8 + 24 * 4 + 100);
  EXPECT_NEAR(result->bits_per_weight, bits, 1e-9);
  ASSERT_TRUE(requantize(in, out, {.dtype = DType::kQ5_K}));
  EXPECT_EQ(open_gguf(out).tensors()[1].dtype, DType::kQ5_1);
  ASSERT_TRUE(requantize(in, out, {.dtype = DType::kQ6_K}));
  EXPECT_EQ(open_gguf(out).tensors()[1].dtype, DType::kQ8_0);
  ASSERT_TRUE(requantize(in, out, {.dtype = DType::kQ8_0}));
  EXPECT_EQ(open_gguf(out).tensors()[5].dtype, DType::kQ8_0);
  ASSERT_TRUE(requantize(in, out, {.dtype = DType::kBF16}));
  EXPECT_THAT(types(open_gguf(out)),
              ElementsAre(DType::kBF16, DType::kBF16, DType::kBF16, DType::kF32, DType::kF32, DType::kBF16));
  // An embedding without an output head is one.
  formats::GgufFile tied = open_gguf(write_example(folder, "token_embd.weight"));
  ASSERT_TRUE(requantize(tied, out, {.dtype = DType::kQ4_0}));
  EXPECT_EQ(open_gguf(out).tensors()[5].dtype, DType::kQ6_K);
}

TEST(Requantize, KeepsMetadataAndWhatNeedsNoChange) {
  std::string folder = fresh_folder("requantize_metadata"), out = folder + "/out.gguf";
  formats::GgufFile in = open_gguf(kLlama);
  ASSERT_TRUE(requantize(in, out, {.dtype = DType::kF32}));
  formats::GgufFile same = open_gguf(out);
  for (const formats::GgufMetadataEntry& entry : in.metadata()) EXPECT_NE(same.find(entry.key), nullptr) << entry.key;
  EXPECT_EQ(same.metadata().size(), in.metadata().size() + 2);
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    EXPECT_EQ(same.tensors()[i].name, in.tensors()[i].name);
    EXPECT_TRUE(std::ranges::equal(same.tensors()[i].data, in.tensors()[i].data));
  }
  ASSERT_TRUE(requantize(open_gguf(write_example(folder)), out, {.dtype = DType::kQ4_1}));
  formats::GgufFile changed = open_gguf(out);
  EXPECT_EQ(**changed.integer("general.file_type"), 3);
  EXPECT_EQ(**changed.integer("general.quantization_version"), 2);
  EXPECT_EQ(changed.find("split.count"), nullptr);
}

TEST(Requantize, WritesModelsThatLoadWhateverTheThreads) {
  std::string folder = fresh_folder("requantize_models"), one = folder + "/one.gguf", many = folder + "/many.gguf";
  for (const char* name : {"llama", "qwen2", "gemma3"}) {
    formats::GgufFile in = golden_gguf(name);
    for (Bound type : kBounds) {
      ASSERT_TRUE(requantize(in, one, {.dtype = type.dtype, .conversion = {.num_threads = 1}}));
      ASSERT_TRUE(requantize(in, many, {.dtype = type.dtype, .conversion = {.num_threads = 4}}));
      EXPECT_TRUE(read_file(one) == read_file(many));
      formats::GgufFile out = open_gguf(one);
      auto model = models::load_model(out);
      EXPECT_TRUE(model) << model.error().message;
    }
  }
}

TEST(Requantize, RefusesToReplaceItsInput) {
  std::string folder = fresh_folder("requantize_itself"), path = write_example(folder);
  std::string before = read_file(path);
  formats::GgufFile in = open_gguf(path);
  std::filesystem::create_symlink(path, folder + "/link.gguf");
  for (const std::string& out : {path, folder + "/link.gguf", folder + "/./in.gguf"})
    EXPECT_THAT(requantize(in, out, {}).error().message, HasSubstr("is the input itself"));
  EXPECT_TRUE(read_file(path) == before);
}

TEST(Requantize, SaysWhatItCannotDo) {
  std::string folder = fresh_folder("requantize_errors");
  formats::GgufFile in = open_gguf(kLlama);
  EXPECT_EQ(requantize(in, folder + "/out.gguf", {.dtype = DType::kQ2_K}).error().message,
            "cannot quantize to Q2_K: it can only be read; known are F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, "
            "Q5_K, Q6_K, BF16");
  EXPECT_THAT(requantize(in, "/nonexistent/out.gguf", {}).error().message, HasSubstr("cannot create"));
  formats::GgufWriter writer;
  writer.set("general.architecture", "llama");
  ASSERT_TRUE(writer.begin(folder + "/vocabulary.gguf"));
  ASSERT_TRUE(writer.finish());
  EXPECT_THAT(requantize(open_gguf(folder + "/vocabulary.gguf"), folder + "/out.gguf", {}).error().message,
              HasSubstr("holds a vocabulary but no tensors"));
}

TEST(Requantize, LeavesNothingBehindWhenInterrupted) {
  std::string folder = fresh_folder("requantize_interrupted");
  formats::GgufFile in = open_gguf(kLlama);
  std::atomic<bool> cancelled{false};
  int calls = 0;
  RequantizeOptions options{.conversion = {.cancelled = &cancelled, .on_progress = [&](uint64_t done, uint64_t total) {
                                             EXPECT_LE(done, total);
                                             cancelled = ++calls == 5;
                                           }}};
  auto result = requantize(in, folder + "/out.gguf", options);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("interrupted"));
  EXPECT_EQ(calls, 5);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}
