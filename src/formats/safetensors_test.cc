#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/test_files.h"

using namespace retort;
using namespace retort::formats;
using retort::test::read_file;
using tensor::DType;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// A file's bytes around this header.
std::string with_header(std::string_view header, size_t data_bytes) {
  uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes.append(header).append(data_bytes, '\0');
}

std::string parse_error(std::string_view bytes) {
  auto file = SafetensorsFile::parse(std::as_bytes(std::span(bytes)), "t.safetensors");
  return file ? "" : file.error().message;
}

/// The message for a file whose one tensor is described so, with 8 bytes of data.
std::string error_of(const std::string& tensor) {
  return parse_error(with_header("{\"w\":" + tensor + "}", 8));
}

const float kFloats[] = {1.5f, -2, 0.25f, 1e-30f, INFINITY, 3};
const uint16_t kHalves[] = {0x3c00, 0xc000, 0x7bff};   // 1, -2, 65504
const uint16_t kBfloats[] = {0x3f80, 0xc000, 0x4049};  // 1, -2, 3.140625

std::vector<SafetensorsTensor> example() {
  return {{"floats", DType::kF32, {2, 3}, std::as_bytes(std::span(kFloats))},
          {"halves", DType::kF16, {3, 1}, std::as_bytes(std::span(kHalves))},
          {"bfloats \xc3\xbc \"", DType::kBF16, {3}, std::as_bytes(std::span(kBfloats))},
          {"empty", DType::kF32, {4, 0}, {}},
          {"number", DType::kF32, {}, std::as_bytes(std::span(kFloats, 1))}};
}

}  // namespace

TEST(Safetensors, IsReadBackWhole) {
  std::string path = testing::TempDir() + "back.safetensors";
  auto status = write_safetensors(path, example(), {{"format", "pt"}, {"note", "a \"b\""}});
  ASSERT_TRUE(status) << status.error().message;
  auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), example().size());
  EXPECT_EQ(file->metadata().at("note"), "a \"b\"");
  EXPECT_THAT(file->find("floats")->floats(), ElementsAre(1.5f, -2, 0.25f, 1e-30f, INFINITY, 3));
  EXPECT_THAT(file->find("floats")->shape, ElementsAre(2, 3));
  EXPECT_THAT(file->find("halves")->floats(), ElementsAre(1, -2, 65504));
  EXPECT_THAT(file->find("bfloats \xc3\xbc \"")->floats(), ElementsAre(1, -2, 3.140625f));
  EXPECT_THAT(file->find("empty")->floats(), ElementsAre());
  EXPECT_THAT(file->find("number")->floats(), ElementsAre(1.5f));
  EXPECT_EQ(file->find("nothing"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->find("floats")->data.data()) % 8, 0u);
}

TEST(Safetensors, ReadsAnyOrderSpacesAndAddresses) {
  std::string bytes = "x" + with_header(R"({ "b":{"shape":[1],"data_offsets":[4,8],"dtype":"F32"},
      "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]} }   )",
                                        8);
  const float two = 2;
  std::memcpy(bytes.data() + bytes.size() - 4, &two, sizeof two);
  auto file = SafetensorsFile::parse(std::as_bytes(std::span(bytes)).subspan(1), "t");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_THAT(file->find("b")->floats(), ElementsAre(2));
}

TEST(Safetensors, EveryCutIsAnError) {
  std::string path = testing::TempDir() + "cut.safetensors";
  ASSERT_TRUE(write_safetensors(path, example(), {{"format", "pt"}}));
  std::string whole = read_file(path);
  EXPECT_EQ(parse_error(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    // A copy of just that size, so that a sanitizer sees any byte read beyond it.
    std::vector<char> cut(whole.data(), whole.data() + length);
    ASSERT_THAT(parse_error({cut.data(), cut.size()}), HasSubstr("t.safetensors: ")) << "cut to " << length;
  }
  EXPECT_THAT(parse_error(whole + "x"), HasSubstr("the tensors end at byte"));
}

TEST(Safetensors, NamesEveryLyingField) {
  EXPECT_EQ(error_of(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "");
  EXPECT_THAT(error_of(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})"),
              HasSubstr("tensor \"w\" has dtype \"I64\""));
  EXPECT_THAT(error_of(R"({"dtype":7,"shape":[1],"data_offsets":[0,8]})"), HasSubstr("has dtype 7"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), HasSubstr("its shape [3] needs 12"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), HasSubstr("has shape [-2]"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), HasSubstr("has shape [2.0]"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), HasSubstr("has shape 2"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), HasSubstr("2^40"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[0,1099511627776,1099511627776],"data_offsets":[0,0]})"),
              HasSubstr("2^40"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})"), HasSubstr("2^40"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"),
              HasSubstr("the file has 8 bytes of data"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[1],"data_offsets":[8,4]})"), HasSubstr("has data_offsets [8,4]"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[1],"data_offsets":[4]})"), HasSubstr("has data_offsets [4]"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), HasSubstr("begins at byte 4"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"), HasSubstr("end at byte 4"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[2]})"), HasSubstr("has no data_offsets"));
  EXPECT_THAT(error_of(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"), HasSubstr("has the field \"x\""));
  EXPECT_THAT(error_of(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("\"dtype\" twice"));
  EXPECT_THAT(error_of("7"), HasSubstr("tensor \"w\" is 7"));
  EXPECT_THAT(error_of("[[[[[1]]]]]"), HasSubstr("levels deep"));
}

TEST(Safetensors, NamesWhatIsWrongWithTheHeader) {
  EXPECT_THAT(parse_error(with_header(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
      "w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                      4)),
              HasSubstr("has \"w\" twice"));
  EXPECT_THAT(parse_error(with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
      "b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                      4)),
              HasSubstr("tensor \"b\" begins at byte 0 of the data, expected 4"));
  EXPECT_THAT(parse_error(with_header("[]", 0)), HasSubstr("begins with \"[\""));
  EXPECT_THAT(parse_error(with_header("{\"w\"", 0)), HasSubstr("is not JSON"));
  EXPECT_THAT(parse_error(with_header(R"({"__metadata__":[]})", 0)), HasSubstr("expected an object of strings"));
  EXPECT_THAT(parse_error(with_header(R"({"__metadata__":{"n":1}})", 0)), HasSubstr("\"n\" is 1, expected a string"));
  EXPECT_THAT(parse_error(std::string(8, '\xff') + "{}"), HasSubstr("length is 18446744073709551615"));
  EXPECT_THAT(SafetensorsFile::open("/nonexistent").error().message, HasSubstr("/nonexistent"));
}

TEST(Safetensors, RefusesToWriteNamesTwice) {
  std::vector<SafetensorsTensor> tensors = example();
  tensors.push_back(tensors.front());
  EXPECT_THAT(write_safetensors(testing::TempDir() + "twice.safetensors", tensors).error().message,
              HasSubstr("tensor floats would be written twice"));
  EXPECT_FALSE(std::filesystem::exists(testing::TempDir() + "twice.safetensors"));
}
