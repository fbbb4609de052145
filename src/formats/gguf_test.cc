#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "formats/raw_gguf.h"

using namespace retort;
using namespace retort::formats;
using testing::AllOf;
using testing::HasSubstr;

namespace {

GgufFile parse(const RawGguf& raw) {
  auto file = GgufFile::parse(std::as_bytes(std::span(raw.bytes())), "test.gguf");
  EXPECT_TRUE(file) << file.error().message;
  return std::move(*file);
}

constexpr auto kF32 = static_cast<uint32_t>(tensor::DType::kF32);

}  // namespace

TEST(GgufReader, ReadsEveryMetadataTypeInBothVersions) {
  for (uint32_t version : {2u, 3u}) {
    RawGguf raw(0, 13, version);
    raw.key("u8", GgufType::kUint8).add<uint8_t>(200).key("i8", GgufType::kInt8).add<int8_t>(-100);
    raw.key("u16", GgufType::kUint16).add<uint16_t>(60000).key("i16", GgufType::kInt16).add<int16_t>(-30000);
    raw.key("u32", GgufType::kUint32).add<uint32_t>(4000000000u).key("i32", GgufType::kInt32).add<int32_t>(-2000000000);
    raw.key("u64", GgufType::kUint64).add<uint64_t>(UINT64_MAX).key("i64", GgufType::kInt64).add<int64_t>(INT64_MIN);
    raw.key("f32", GgufType::kFloat32).add<float>(0.5f).key("f64", GgufType::kFloat64).add<double>(1e300);
    raw.key("yes", GgufType::kBool).add<uint8_t>(1).key("text", GgufType::kString).text("a\0b\xff");
    raw.key("list", GgufType::kArray).add(static_cast<uint32_t>(GgufType::kInt16)).add<uint64_t>(2).add<int16_t>(-1);
    raw.add<int16_t>(7);
    GgufFile file = parse(raw);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.metadata().size(), 13u);
    EXPECT_EQ(**file.integer("u8"), 200);
    EXPECT_EQ(**file.integer("i8"), -100);
    EXPECT_EQ(**file.integer("u16"), 60000);
    EXPECT_EQ(**file.integer("i16"), -30000);
    EXPECT_EQ(**file.integer("u32"), 4000000000);
    EXPECT_EQ(**file.integer("i32"), -2000000000);
    EXPECT_FALSE(file.integer("u64")) << "does not fit";
    EXPECT_EQ(std::get<uint64_t>(file.find("u64")->value), UINT64_MAX);
    EXPECT_EQ(**file.integer("i64"), INT64_MIN);
    EXPECT_EQ(**file.real("f32"), 0.5);
    EXPECT_EQ(**file.real("f64"), 1e300);
    EXPECT_EQ(**file.real("i8"), -100);
    EXPECT_EQ(**file.boolean("yes"), true);
    EXPECT_EQ(**file.string("text"), std::string_view("a\0b\xff"));
    const GgufArray* list = *file.array("list");
    ASSERT_NE(list, nullptr);
    EXPECT_EQ(list->size(), 2u);
    EXPECT_EQ(list->integer(0), -1);
    EXPECT_EQ(list->number(1), 7);
  }
}

TEST(GgufReader, TellsAbsentFromWrongKind) {
  RawGguf raw(0, 1);
  raw.key("name", GgufType::kString).text("x");
  GgufFile file = parse(raw);
  EXPECT_EQ(file.find("other"), nullptr);
  EXPECT_FALSE(file.integer("other")->has_value());
  EXPECT_FALSE(file.string("other")->has_value());
  EXPECT_EQ(*file.array("other"), nullptr);
  EXPECT_EQ(file.integer("name").error().message, "test.gguf: metadata name is of another type, expected an integer");
  EXPECT_THAT(file.real("name").error().message, HasSubstr("expected a number"));
  EXPECT_THAT(file.boolean("name").error().message, HasSubstr("expected a bool"));
  EXPECT_THAT(file.array("name").error().message, HasSubstr("expected an array"));
}

TEST(GgufReader, FindsTensorsWhereTheyAre) {
  RawGguf raw(2, 0);
  raw.tensor("b", {3, 2}, kF32, 32).tensor("a", {8}, kF32, 0).data(64);
  GgufFile file = parse(raw);
  const GgufTensor* b = file.find_tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->num_dims, 2);
  EXPECT_EQ(b->dims[0], 3);
  EXPECT_EQ(b->dims[1], 2);
  EXPECT_EQ(b->num_elements(), 6);
  EXPECT_EQ(b->data.size(), 24u);
  EXPECT_EQ(b->data.data() - file.find_tensor("a")->data.data(), 32);
  EXPECT_EQ(file.find_tensor("c"), nullptr);
}

TEST(GgufReader, AcceptsAVocabularyWithoutTensors) {
  const std::string_view tokens[] = {"", "a", "bc"};
  RawGguf raw(0, 1);
  raw.key("tokenizer.ggml.tokens", GgufType::kArray).add(static_cast<uint32_t>(GgufType::kString)).add<uint64_t>(3);
  for (std::string_view token : tokens) raw.text(token);
  GgufFile file = parse(raw);
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_THAT((*file.array("tokenizer.ggml.tokens"))->strings(), testing::ElementsAreArray(tokens));
}

TEST(GgufReader, KnowsEveryTensorType) {
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    RawGguf raw(1, 0);
    raw.tensor("t", {512, 3}, static_cast<uint32_t>(info.dtype), 0).data(16384);
    GgufFile file = parse(raw);
    EXPECT_EQ(file.tensors()[0].dtype, info.dtype);
    EXPECT_EQ(file.tensors()[0].data.size(), 3u * 512 / info.block_elements * info.block_bytes) << info.name;
    if (info.block_elements > 1) {
      RawGguf uneven(1, 0);
      uneven.tensor("t", {16}, static_cast<uint32_t>(info.dtype), 0).data(16384);
      EXPECT_THAT(uneven.error(), AllOf(HasSubstr("tensor \"t\""), HasSubstr("has rows of 16")));
    }
  }
}

TEST(GgufReader, NamesTheFieldThatIsWrong) {
  auto u32 = [](GgufType type) { return static_cast<uint32_t>(type); };
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  struct Case {
    RawGguf raw;
    const char* message;
  };
  const std::vector<Case> cases = {
      {RawGguf(0, 0, 1), "test.gguf: version at byte 8: is 1, supported are 2 and 3"},
      {RawGguf(0, 0, 4), "version at byte 8: is 4"},
      {RawGguf(0, 0, 0x03000000), "big-endian"},
      {RawGguf(0, kHuge), "metadata_kv_count at byte 24: 1152921504606846976 entries do not fit the file"},
      {RawGguf(kHuge, 0), "tensor_count at byte 24: 1152921504606846976 tensors do not fit"},
      {RawGguf(UINT64_MAX, 0), "tensor_count"},
      {RawGguf(0, 1).add(kHuge).data(64), "key of metadata entry 0 at byte 32: string of 1152921504606846976 bytes"},
      {RawGguf(0, 1).add(UINT64_MAX).data(64), "key of metadata entry 0"},
      {RawGguf(0, 1).key("", GgufType::kBool).data(64), "key of metadata entry 0 at byte 32: is empty"},
      {RawGguf(0, 1).text("k").add<uint32_t>(13).data(64), "metadata \"k\" at byte 37: value of type 13"},
      {RawGguf(0, 1).key("k", GgufType::kBool).add<uint8_t>(2).data(64), "metadata \"k\" at byte 38: bool is 2"},
      {RawGguf(0, 1).key("k", GgufType::kString).add(kHuge).data(64), "metadata \"k\" at byte 45: string of"},
      {RawGguf(0, 1).key("k", GgufType::kArray).add(u32(GgufType::kInt64)).add(kHuge).data(64),
       "array of 1152921504606846976 elements of 8 bytes"},
      {RawGguf(0, 1).key("k", GgufType::kArray).add(u32(GgufType::kUint8)).add(UINT64_MAX).data(64), "metadata \"k\""},
      {RawGguf(0, 1).key("k", GgufType::kArray).add(u32(GgufType::kString)).add(kHuge).data(64),
       "array of 1152921504606846976 strings"},
      {RawGguf(0, 1)
           .key("k", GgufType::kArray)
           .add(u32(GgufType::kString))
           .add<uint64_t>(2)
           .text("a")
           .add(kHuge)
           .data(8),
       "string 1 of 1152921504606846976 bytes"},
      {RawGguf(0, 1).key("k", GgufType::kArray).add(u32(GgufType::kArray)).add<uint64_t>(1).data(64),
       "array of type 9"},
      {RawGguf(0, 1).key("k", GgufType::kArray).add<uint32_t>(99).add<uint64_t>(1).data(64), "array of type 99"},
      {RawGguf(0, 2).key("k", GgufType::kInt8).add<int8_t>(1).key("k", GgufType::kInt8).add<int8_t>(2),
       "metadata key \"k\" occurs twice"},
      {RawGguf(1, 0).tensor("", {8}, kF32, 0).data(64), "name of tensor 0"},
      {RawGguf(1, 0).tensor("t", {}, kF32, 0).data(64), "tensor \"t\" at byte 37: has 0 dimensions"},
      {RawGguf(1, 0).tensor("t", {1, 1, 1, 1, 1}, kF32, 0).data(64), "has 5 dimensions"},
      {RawGguf(1, 0).tensor("t", {8, 0}, kF32, 0).data(64), "dimension 1 is 0"},
      {RawGguf(1, 0).tensor("t", {kHuge}, kF32, 0).data(64), "dimension 0 is 1152921504606846976"},
      {RawGguf(1, 0).tensor("t", {UINT64_MAX, 2}, kF32, 0).data(64), "dimension 0 is 18446744073709551615"},
      {RawGguf(1, 0).tensor("t", {1u << 31, 1u << 31}, kF32, 0).data(64), "dimension 1 is 2147483648"},
      {RawGguf(1, 0).tensor("t", {8}, 5, 0).data(64), "has type id 5, known are F32, F16, Q4_0"},
      {RawGguf(1, 0).tensor("t", {8}, kF32, 8).data(64), "tensor \"t\" has offset 8, expected a multiple of 32"},
      {RawGguf(1, 0).tensor("t", {8}, kF32, 64).data(64), "tensor \"t\" needs 32 bytes from byte 128"},
      {RawGguf(1, 0).tensor("t", {8}, kF32, UINT64_MAX - 31).data(64), "tensor \"t\" needs 32 bytes"},
      {RawGguf(1, 0).tensor("t", {17}, kF32, 0).data(64), "tensor \"t\" needs 68 bytes"},
      {RawGguf(1, 0).tensor("t", {9}, kF32, 0).data(60), "within the padding of its last tensor up to 128"},
      {RawGguf(2, 0).tensor("t", {8}, kF32, 0).tensor("t", {8}, kF32, 32).data(64), "tensor \"t\" occurs twice"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(c.raw.error(), AllOf(HasSubstr(c.message), HasSubstr("test.gguf: ")));
  }
  EXPECT_THAT(RawGguf::parse_error("GGML...."), HasSubstr("magic at byte 0: is 0x4c4d4747, expected \"GGUF\""));
  EXPECT_THAT(RawGguf::parse_error(""), HasSubstr("magic at byte 0: needs 4 bytes, the file has 0 left"));
}

TEST(GgufReader, RefusesSenselessAlignments) {
  for (uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 1u << 21, UINT32_MAX}) {
    RawGguf raw(1, 1);
    raw.key("general.alignment", GgufType::kUint32).add(alignment).tensor("t", {8}, kF32, 0).data(64);
    EXPECT_THAT(raw.error(), HasSubstr("metadata \"general.alignment\" is " + std::to_string(alignment) +
                                       ", expected a power of two from 8 to 2^20"));
  }
  RawGguf text(1, 1);
  text.key("general.alignment", GgufType::kString).text("32").tensor("t", {8}, kF32, 0).data(64);
  EXPECT_THAT(text.error(), HasSubstr("general.alignment is of another type"));
}

TEST(GgufReader, ShowsStrangeNamesSafely) {
  RawGguf raw(1, 0);
  raw.tensor("\x1b[31m" + std::string(1000, 'x'), {0}, kF32, 0).data(64);
  EXPECT_THAT(raw.error(), AllOf(HasSubstr("\"?[31mxxx"), HasSubstr("...\"")));
  EXPECT_LT(raw.error().size(), 200u);
}

TEST(GgufReader, OpensOnlyFilesThatAreThere) {
  EXPECT_THAT(GgufFile::open("/nonexistent/m.gguf").error().message, HasSubstr("/nonexistent/m.gguf: cannot open"));
  EXPECT_THAT(GgufFile::open("/").error().message, HasSubstr("expected a regular file"));
}
