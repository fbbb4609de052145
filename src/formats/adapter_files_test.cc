#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/test_files.h"
#include "formats/adapter.h"
#include "formats/gguf_writer.h"
#include "formats/golden_gguf.h"
#include "formats/safetensors.h"

using namespace retort;
using namespace retort::formats;
using nlohmann::json;
using retort::test::fresh_folder;
using retort::test::golden_gguf;
using retort::test::read_file;
using tensor::DType;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

AdapterFactors random_factors(const GgufFile& base, const std::string& target, int64_t rank, base::Random& random) {
  const GgufTensor* weight = base.find_tensor(target + ".weight");
  AdapterFactors factors{target, weight->dims[0], weight->dims[1], rank, {}, {}};
  for (int64_t i = 0; i < rank * factors.in_features; ++i) factors.a.push_back(static_cast<float>(random.normal()));
  for (int64_t i = 0; i < rank * factors.out_features; ++i) factors.b.push_back(static_cast<float>(random.normal()));
  return factors;
}

const char* const kTargets[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

/// An adapter of every projection of a golden model's layers.
Adapter example(const std::string& model, int64_t rank = 3) {
  GgufFile base = golden_gguf(model);
  base::Random random(7);
  Adapter adapter{base_identity(base), "an example", 6, {}};
  for (int layer = 0; base.find_tensor("blk." + std::to_string(layer) + ".attn_q.weight") != nullptr; ++layer)
    for (const char* target : kTargets)
      adapter.factors.push_back(random_factors(base, "blk." + std::to_string(layer) + "." + target, rank, random));
  return adapter;
}

void expect_equal(const Adapter& got, const Adapter& expected) {
  EXPECT_EQ(got.base.architecture, expected.base.architecture);
  EXPECT_EQ(got.base.shape, expected.base.shape);
  EXPECT_EQ(got.base.tokenizer_hash, expected.base.tokenizer_hash);
  EXPECT_EQ(got.base.template_hash, expected.base.template_hash);
  EXPECT_EQ(got.name, expected.name);
  EXPECT_EQ(got.alpha, expected.alpha);
  ASSERT_EQ(got.factors.size(), expected.factors.size());
  for (size_t i = 0; i < got.factors.size(); ++i) {
    EXPECT_EQ(got.factors[i].target, expected.factors[i].target);
    EXPECT_EQ(got.factors[i].in_features, expected.factors[i].in_features);
    EXPECT_EQ(got.factors[i].out_features, expected.factors[i].out_features);
    EXPECT_EQ(got.factors[i].rank, expected.factors[i].rank);
    EXPECT_TRUE(got.factors[i].a == expected.factors[i].a) << got.factors[i].target;
    EXPECT_TRUE(got.factors[i].b == expected.factors[i].b) << got.factors[i].target;
  }
}

std::string error_of(const base::Result<Adapter>& result) {
  return result ? "" : result.error().message;
}

/// A GGUF adapter of one pair, 2 x 4 and 6 x 2, with changes.
struct Foreign {
  std::string type = "adapter", kind = "lora", a = "blk.0.attn_v.weight.lora_a", b = "blk.0.attn_v.weight.lora_b";
  float alpha = 4, value = 1;
  int64_t rank_a = 2, rank_b = 2;
  DType dtype = DType::kF32;

  base::Result<Adapter> read_back() const {
    fs::path path = fs::path(testing::TempDir()) / "foreign.gguf";
    GgufWriter writer;
    writer.set("general.type", type);
    writer.set("general.architecture", "llama");
    writer.set("adapter.type", kind);
    writer.set("adapter.lora.alpha", alpha);
    const int64_t a_dims[] = {32, rank_a}, b_dims[] = {rank_b, 6};
    writer.add_tensor(a, dtype, a_dims);
    writer.add_tensor(b, DType::kF32, b_dims);
    std::vector<float> b_values(static_cast<size_t>(rank_b * 6), value);
    std::vector<std::byte> a_bytes(static_cast<size_t>(tensor::row_bytes(dtype, 32 * rank_a)));
    EXPECT_TRUE(writer.begin(path.string()));
    EXPECT_TRUE(writer.write(a_bytes));
    EXPECT_TRUE(writer.write(std::as_bytes(std::span(b_values))));
    EXPECT_TRUE(writer.finish());
    return read_adapter(path);
  }
};

/// A PEFT folder of one projection as PEFT itself writes it, with changes to its configuration.
base::Result<Adapter> read_peft(const json& changes, const BaseIdentity* base, const std::string& module = "v_proj",
                                std::vector<float> b = {1, 2, 3, 4}) {
  fs::path folder = fresh_folder("peft_foreign");
  const float a[] = {1, 2, 3};
  std::string stem = "base_model.model.model.layers.0.self_attn." + module;
  auto rows = static_cast<int64_t>(b.size());
  SafetensorsTensor tensors[] = {{stem + ".lora_A.weight", DType::kF32, {1, 3}, std::as_bytes(std::span(a))},
                                 {stem + ".lora_B.weight", DType::kF32, {rows, 1}, std::as_bytes(std::span(b))}};
  EXPECT_TRUE(write_safetensors((folder / "adapter_model.safetensors").string(), tensors, {{"format", "pt"}}));
  json config = {{"peft_type", "LORA"},
                 {"r", 1},
                 {"lora_alpha", 2},
                 {"target_modules", {module}},
                 {"bias", "none"},
                 {"use_dora", false},
                 {"use_rslora", false},
                 {"modules_to_save", nullptr},
                 {"rank_pattern", json::object()},
                 {"alpha_pattern", json::object()}};
  config.update(changes);
  write(folder / "adapter_config.json", config.dump());
  return read_adapter(folder, base);
}

const json kAsIs = json::object();
const BaseIdentity kLlama{"llama", "vocabulary=9 model_dim=3 layers=1 heads=1 kv_heads=1 head_dim=4", "aa", ""};

}  // namespace

TEST(AdapterGguf, IsReadBackWhole) {
  fs::path path = fs::path(fresh_folder("adapter_gguf")) / "a.gguf";
  for (const char* model : {"llama", "qwen2", "qwen3", "gemma3"}) {
    Adapter adapter = example(model);
    auto status = write_adapter_gguf(adapter, path);
    ASSERT_TRUE(status) << status.error().message;
    auto back = read_adapter(path);
    ASSERT_TRUE(back) << back.error().message;
    expect_equal(*back, adapter);
    EXPECT_TRUE(check_fits(*back, golden_gguf(model), path.string()));
  }
}

TEST(AdapterGguf, EveryCutIsAnError) {
  fs::path path = fs::path(fresh_folder("adapter_gguf_cuts")) / "a.gguf";
  Adapter adapter = example("llama", 1);
  adapter.factors.resize(1);
  ASSERT_TRUE(write_adapter_gguf(adapter, path));
  for (uintmax_t length = fs::file_size(path); length-- > 0;) {
    fs::resize_file(path, length);
    ASSERT_THAT(error_of(read_adapter(path)), HasSubstr("a.gguf: ")) << length;
  }
}

TEST(AdapterGguf, ReadsWhatOthersWrite) {
  auto adapter = Foreign().read_back();
  ASSERT_TRUE(adapter) << adapter.error().message;
  EXPECT_EQ(adapter->base.architecture, "llama");
  EXPECT_EQ(adapter->base.shape, "");
  EXPECT_EQ(adapter->alpha, 4);
  EXPECT_EQ(adapter->factors[0].target, "blk.0.attn_v");
  EXPECT_EQ(adapter->factors[0].in_features, 32);
  EXPECT_EQ(adapter->factors[0].out_features, 6);
  EXPECT_EQ(adapter->factors[0].b[11], 1);
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
    auto narrow = Foreign{.dtype = dtype}.read_back();
    ASSERT_TRUE(narrow) << narrow.error().message;
    EXPECT_EQ(narrow->factors[0].a.size(), 64u);
  }
}

TEST(AdapterGguf, NamesWhatIsWrong) {
  EXPECT_THAT(error_of(Foreign{.type = "model"}.read_back()),
              HasSubstr("general.type is \"model\", expected \"adapter\""));
  EXPECT_THAT(error_of(Foreign{.kind = "control_vector"}.read_back()), HasSubstr("adapter.type is \"control_vector\""));
  EXPECT_THAT(error_of(Foreign{.a = "blk.0.attn_k.weight.lora_a"}.read_back()), HasSubstr("but no blk.0.attn_k"));
  EXPECT_THAT(error_of(Foreign{.a = "other"}.read_back()), HasSubstr("tensor other is no factor"));
  EXPECT_THAT(error_of(Foreign{.a = "token_embd.weight.lora_a", .b = "token_embd.weight.lora_b"}.read_back()),
              HasSubstr("token embedding"));
  EXPECT_THAT(error_of(Foreign{.alpha = 0}.read_back()), HasSubstr("alpha is 0"));
  EXPECT_THAT(error_of(Foreign{.alpha = NAN}.read_back()), HasSubstr("alpha is nan"));
  EXPECT_THAT(error_of(Foreign{.value = INFINITY}.read_back()),
              HasSubstr("factors of blk.0.attn_v are not all finite"));
  EXPECT_THAT(error_of(Foreign{.rank_a = 3}.read_back()), AllOf(HasSubstr("has rank 3"), HasSubstr("has 2")));
  EXPECT_THAT(error_of(Foreign{.dtype = DType::kQ4_0}.read_back()), HasSubstr("type Q4_0"));
  EXPECT_THAT(error_of(read_adapter("/nonexistent/a.gguf")), HasSubstr("/nonexistent/a.gguf"));
  EXPECT_THAT(error_of(read_adapter(golden_gguf("llama").path())), HasSubstr("not a LoRA adapter"));
}

TEST(AdapterPeft, IsReadBackWhole) {
  for (const char* model : {"llama", "qwen2", "qwen3", "gemma3"}) {
    fs::path folder = fs::path(testing::TempDir()) / "adapter_peft" / model;
    Adapter adapter = example(model);
    auto status = write_adapter_peft(adapter, folder, {.base_model = "some/model"});
    ASSERT_TRUE(status) << status.error().message;
    auto back = read_adapter(folder);
    ASSERT_TRUE(back) << back.error().message;
    expect_equal(*back, adapter);
    json config = json::parse(read_file(folder / "adapter_config.json"));
    EXPECT_EQ(config["base_model_name_or_path"], "some/model");
    EXPECT_EQ(config["lora_alpha"], 6);
    EXPECT_EQ(config["r"], 3);
    EXPECT_EQ(config["target_modules"],
              json({"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}));
  }
}

TEST(AdapterPeft, NamesModulesInFullWhereLayersDiffer) {
  fs::path folder = fresh_folder("adapter_peft_layers");
  Adapter adapter = example("llama");
  base::Random random(1);
  adapter.factors = {random_factors(golden_gguf("llama"), "blk.1.attn_q", 2, random),
                     random_factors(golden_gguf("llama"), "blk.1.ffn_up", 4, random),
                     random_factors(golden_gguf("llama"), "output", 2, random)};
  adapter.alpha = 0.5f;
  ASSERT_TRUE(write_adapter_peft(adapter, folder));
  json config = json::parse(read_file(folder / "adapter_config.json"));
  EXPECT_EQ(config["target_modules"],
            json({"lm_head", "model.layers.1.mlp.up_proj", "model.layers.1.self_attn.q_proj"}));
  EXPECT_EQ(config["rank_pattern"], json({{"model.layers.1.mlp.up_proj", 4}}));
  EXPECT_EQ(config["lora_alpha"], 0.5);
  EXPECT_TRUE(config["base_model_name_or_path"].is_null());
  auto back = read_adapter(folder);
  ASSERT_TRUE(back) << back.error().message;
  expect_equal(*back, adapter);
}

TEST(AdapterPeft, ReordersTheRowsOfRotatedHeads) {
  // In the file of a Llama, elements 0 and 2 of a head of four rotate together; in a GGUF file, neighbours do.
  auto adapter = read_peft(kAsIs, &kLlama, "q_proj", {0, 1, 2, 3, 10, 11, 12, 13});
  ASSERT_TRUE(adapter) << adapter.error().message;
  EXPECT_THAT(adapter->factors[0].b, ElementsAre(0, 2, 1, 3, 10, 12, 11, 13));
  BaseIdentity qwen2 = kLlama;
  qwen2.architecture = "qwen2";
  EXPECT_THAT(read_peft(kAsIs, &qwen2, "q_proj", {0, 1, 2, 3})->factors[0].b, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(read_peft(kAsIs, &kLlama, "v_proj", {0, 1, 2, 3})->factors[0].b, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(error_of(read_peft(kAsIs, &kLlama, "k_proj", {0, 1, 2})), HasSubstr("blk.0.attn_k has 3 rows"));
}

TEST(AdapterPeft, TakesTheArchitectureOfTheBaseWhenItDoesNotSay) {
  auto adapter = read_peft(kAsIs, &kLlama);
  ASSERT_TRUE(adapter) << adapter.error().message;
  EXPECT_EQ(adapter->base.architecture, "llama");
  EXPECT_EQ(adapter->base.tokenizer_hash, "");
  EXPECT_EQ(adapter->name, "peft_foreign");
  EXPECT_EQ(adapter->alpha, 2);
  EXPECT_THAT(error_of(read_peft(kAsIs, nullptr)), HasSubstr("name the model"));
  BaseIdentity other{"phi3", "", "", ""};
  EXPECT_THAT(error_of(read_peft(kAsIs, &other)), HasSubstr("architecture \"phi3\", known are llama"));
}

TEST(AdapterPeft, ScalesByTheRootOfTheRankWhereAsked) {
  fs::path folder = fresh_folder("adapter_peft_root");
  Adapter adapter = example("qwen2", 4);
  ASSERT_TRUE(write_adapter_peft(adapter, folder));
  json config = json::parse(read_file(folder / "adapter_config.json"));
  config["use_rslora"] = true;
  write(folder / "adapter_config.json", config.dump());
  auto back = read_adapter(folder);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->factors[0].b[5], 2 * adapter.factors[0].b[5]);
}

TEST(AdapterPeft, RefusesWhatItCannotExpress) {
  auto error = [](const char* changes) { return error_of(read_peft(json::parse(changes), &kLlama)); };
  EXPECT_EQ(error("{}"), "");
  EXPECT_THAT(error(R"({"peft_type":"IA3"})"),
              HasSubstr("adapter_config.json: peft_type is \"IA3\", expected \"LORA\""));
  EXPECT_THAT(error(R"({"use_dora":true})"), HasSubstr("use_dora is true"));
  EXPECT_THAT(error(R"({"lora_bias":true})"), HasSubstr("lora_bias is true"));
  EXPECT_THAT(error(R"({"fan_in_fan_out":true})"), HasSubstr("fan_in_fan_out is true"));
  EXPECT_THAT(error(R"({"bias":"all"})"), HasSubstr("bias is \"all\""));
  EXPECT_THAT(error(R"({"modules_to_save":["lm_head"]})"), HasSubstr("modules_to_save is [\"lm_head\"]"));
  EXPECT_THAT(error(R"({"alpha_pattern":{"q_proj":3}})"), HasSubstr("alpha_pattern is {\"q_proj\":3}"));
  EXPECT_THAT(error(R"({"r":0})"), HasSubstr("r is 0, expected a positive integer"));
  EXPECT_THAT(error(R"({"r":2})"), HasSubstr("has rank 1, adapter_config.json says r is 2"));
  EXPECT_THAT(error(R"({"lora_alpha":"x"})"), HasSubstr("lora_alpha is \"x\", expected a number"));
  EXPECT_THAT(error(R"({"lora_alpha":-1})"), HasSubstr("alpha is -1"));
  EXPECT_THAT(error_of(read_peft(kAsIs, &kLlama, "c_attn")),
              HasSubstr("self_attn.c_attn.lora_A.weight is not of a known"));
}

TEST(AdapterPeft, NamesMissingAndCutFiles) {
  fs::path folder = fresh_folder("adapter_peft_cut");
  EXPECT_THAT(error_of(read_adapter(folder)), HasSubstr("adapter_config.json: cannot open"));
  Adapter adapter = example("llama", 1);
  adapter.factors.resize(1);
  ASSERT_TRUE(write_adapter_peft(adapter, folder));
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    std::string whole = read_file(folder / name);
    if (whole.ends_with("}\n")) fs::resize_file(folder / name, whole.size() - 1);  // JSON does not need its line's end
    for (uintmax_t length = fs::file_size(folder / name); length-- > 0;) {
      fs::resize_file(folder / name, length);
      ASSERT_THAT(error_of(read_adapter(folder)), HasSubstr(name)) << length;
    }
    write(folder / name, whole);
  }
  ASSERT_TRUE(read_adapter(folder));
}

TEST(AdapterPeft, ReportsWhatItCannotWrite) {
  Adapter adapter = example("llama", 1);
  EXPECT_THAT(write_adapter_peft(adapter, "/proc/nothing/here").error().message, HasSubstr("cannot make the folder"));
  adapter.factors[0].target = "blk.0.ffn_gate_inp";
  EXPECT_THAT(write_adapter_peft(adapter, fresh_folder("peft_unknown")).error().message,
              HasSubstr("the name of blk.0.ffn_gate_inp in PEFT is not known"));
}
