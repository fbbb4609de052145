#include "formats/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/golden_gguf.h"
#include "formats/raw_gguf.h"

using namespace retort;
using namespace retort::formats;
using retort::test::golden_gguf;
using testing::AllOf;
using testing::HasSubstr;

namespace {

BaseIdentity identity_of(const RawGguf& raw) {
  auto file = GgufFile::parse(std::as_bytes(std::span(raw.bytes())), "test.gguf");
  EXPECT_TRUE(file) << file.error().message;
  return base_identity(*file);
}

}  // namespace

TEST(BaseIdentity, SaysWhatTheModelIs) {
  BaseIdentity llama = base_identity(golden_gguf("llama"));
  EXPECT_EQ(llama.architecture, "llama");
  EXPECT_EQ(llama.shape, "vocabulary=272 model_dim=64 hidden_dim=96 layers=2 heads=4 kv_heads=2 head_dim=16");
  EXPECT_EQ(llama.tokenizer_hash.size(), 64u);
  EXPECT_EQ(base_identity(golden_gguf("gemma3")).architecture, "gemma3");
  EXPECT_EQ(base_identity(golden_gguf("gemma3")).shape,
            "vocabulary=272 model_dim=48 hidden_dim=64 layers=7 heads=3 kv_heads=1 head_dim=32");
  EXPECT_EQ(base_identity(golden_gguf("gemma3")).tokenizer_hash, llama.tokenizer_hash) << "the goldens share it";
}

TEST(BaseIdentity, HashesEveryPartOfTheTokenizer) {
  auto with = [](std::string_view model, std::string_view pre, std::string_view token, float score) {
    RawGguf raw(0, 4);
    raw.key("tokenizer.ggml.model", GgufType::kString).text(model);
    raw.key("tokenizer.ggml.pre", GgufType::kString).text(pre);
    raw.key("tokenizer.ggml.tokens", GgufType::kArray).add(static_cast<uint32_t>(GgufType::kString)).add<uint64_t>(1);
    raw.text(token);
    raw.key("tokenizer.ggml.scores", GgufType::kArray).add(static_cast<uint32_t>(GgufType::kFloat32)).add<uint64_t>(1);
    raw.add(score);
    return identity_of(raw).tokenizer_hash;
  };
  std::string hash = with("gpt2", "smollm", "a", 0);
  EXPECT_EQ(with("gpt2", "smollm", "a", 0), hash);
  EXPECT_NE(with("llama", "smollm", "a", 0), hash);
  EXPECT_NE(with("gpt2", "qwen2", "a", 0), hash);
  EXPECT_NE(with("gpt2", "smollm", "b", 0), hash);
  EXPECT_NE(with("gpt2", "smollm", "a", 1), hash);
}

TEST(BaseIdentity, HashesTheTemplate) {
  RawGguf raw(0, 1);
  raw.key("tokenizer.chat_template", GgufType::kString).text("abc");
  EXPECT_EQ(identity_of(raw).template_hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(identity_of(RawGguf(0, 0)).template_hash, "");
}

TEST(CheckBase, SaysWhatDiffers) {
  const BaseIdentity base{"llama", "layers=3", "aa", "bb"};
  Adapter adapter;
  adapter.base = base;
  auto error = [&](auto change) {
    BaseIdentity given = base;
    change(given);
    auto status = check_base(adapter, given, "a.gguf", "m.gguf");
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(error([](BaseIdentity&) {}), "");
  EXPECT_EQ(error([](BaseIdentity& given) { given.architecture = "qwen2"; }),
            "a.gguf: was trained on another model than m.gguf: its architecture is llama, the model's is qwen2");
  EXPECT_THAT(error([](BaseIdentity& given) { given.shape = "layers=4"; }),
              HasSubstr("its shape is layers=3, the model's is layers=4"));
  EXPECT_THAT(error([](BaseIdentity& given) { given.tokenizer_hash = "ab"; }),
              HasSubstr("tokenizer's sha256 is aa, the model's is ab"));
  EXPECT_THAT(error([](BaseIdentity& given) { given.template_hash = ""; }),
              HasSubstr("chat template's sha256 is bb, the model's is none"));
}

TEST(CheckBase, ComparesOnlyWhatTheAdapterKnows) {
  Adapter foreign;
  foreign.base.architecture = "llama";
  EXPECT_TRUE(check_base(foreign, {"llama", "layers=3", "aa", "bb"}, "a", "m"));
  EXPECT_FALSE(check_base(foreign, {"qwen2", "layers=3", "aa", "bb"}, "a", "m"));
}

TEST(CheckFits, ComparesShapes) {
  GgufFile llama = golden_gguf("llama");
  Adapter adapter;
  adapter.base = base_identity(llama);
  adapter.factors.push_back({"blk.0.attn_k", 64, 32, 4, {}, {}});
  EXPECT_TRUE(check_fits(adapter, llama, "a.gguf"));
  EXPECT_FALSE(check_fits(adapter, golden_gguf("qwen2"), "a.gguf"));
  adapter.factors[0].out_features = 64;
  EXPECT_THAT(check_fits(adapter, llama, "a.gguf").error().message,
              AllOf(HasSubstr("blk.0.attn_k.weight as (64, 64)"), HasSubstr("llama.gguf it is (32, 64)")));
  adapter.factors[0].target = "blk.9.attn_k";
  EXPECT_THAT(check_fits(adapter, llama, "a.gguf").error().message,
              HasSubstr("a.gguf: changes blk.9.attn_k.weight, which"));
}
