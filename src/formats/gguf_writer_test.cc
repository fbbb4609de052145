#include "formats/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/test_files.h"
#include "formats/golden_gguf.h"
#include "formats/raw_gguf.h"

using namespace retort;
using namespace retort::formats;
using retort::test::fresh_folder;
using retort::test::read_file;
using testing::HasSubstr;

namespace {

base::Status write_all(GgufWriter& writer, const std::string& path, const std::vector<std::string>& data) {
  RETORT_TRY_STATUS(writer.begin(path));
  for (const std::string& bytes : data) RETORT_TRY_STATUS(writer.write(std::as_bytes(std::span(bytes))));
  return writer.finish();
}

/// A file with a value of every metadata type and three small tensors.
void describe(GgufWriter& writer) {
  writer.set("general.architecture", "test");
  writer.set<uint8_t>("u8", 255);
  writer.set<int8_t>("i8", -128);
  writer.set<uint16_t>("u16", 65535);
  writer.set<int16_t>("i16", -32768);
  writer.set<uint32_t>("u32", UINT32_MAX);
  writer.set<int32_t>("i32", INT32_MIN);
  writer.set<uint64_t>("u64", UINT64_MAX);
  writer.set<int64_t>("i64", INT64_MIN);
  writer.set("f32", 0.1f);
  writer.set("f64", 0.1);
  writer.set("infinite", -HUGE_VALF);
  writer.set("no", false);
  writer.set("yes", true);
  writer.set("empty", "");
  writer.set("text", std::string_view("zero \0 and \xff", 12));
  const std::string_view texts[] = {"", "a", "bc", std::string_view("\0", 1)};
  writer.set_array("texts", texts);
  const uint8_t bytes[] = {0, 255};
  writer.set_array<uint8_t>("bytes", bytes);
  const double doubles[] = {0.1, -1e300, NAN};
  writer.set_array<double>("doubles", doubles);
  const bool bools[] = {true, false, true};
  writer.set_array<bool>("bools", bools);
  writer.set_array<int32_t>("nothing", {});
  const int64_t vector[] = {3}, matrix[] = {32, 2}, cube[] = {1, 2, 3, 1};
  writer.add_tensor("vector", tensor::DType::kF32, vector);
  writer.add_tensor("matrix", tensor::DType::kQ8_0, matrix);
  writer.add_tensor("cube", tensor::DType::kBF16, cube);
}

std::vector<std::string> example_data() {
  return {std::string(12, 'v'), std::string(68, 'm'), std::string(12, 'c')};
}

/// What `file` holds, written again.
std::string rewritten(const GgufFile& file, const std::string& path) {
  GgufWriter writer;
  for (const GgufMetadataEntry& entry : file.metadata()) writer.copy(entry);
  for (const GgufTensor& tensor : file.tensors())
    writer.add_tensor(tensor.name, tensor.dtype, std::span(tensor.dims, tensor.num_dims));
  base::Status status = writer.begin(path);
  for (const GgufTensor& tensor : file.tensors())
    if (status) status = writer.write(tensor.data);
  if (status) status = writer.finish();
  EXPECT_TRUE(status) << status.error().message;
  std::string bytes = read_file(path);
  EXPECT_EQ(writer.file_bytes(), bytes.size());
  return bytes;
}

}  // namespace

TEST(GgufWriter, IsReadBackWhole) {
  std::string path = fresh_folder("gguf_writer_back") + "/m.gguf";
  GgufWriter writer;
  describe(writer);
  auto status = write_all(writer, path, example_data());
  ASSERT_TRUE(status) << status.error().message;
  auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->file_bytes(), writer.file_bytes());
  EXPECT_EQ(**file->string("general.architecture"), "test");
  EXPECT_EQ(**file->integer("u8"), 255);
  EXPECT_EQ(**file->integer("i8"), -128);
  EXPECT_EQ(**file->integer("u16"), 65535);
  EXPECT_EQ(**file->integer("i16"), -32768);
  EXPECT_EQ(**file->integer("u32"), UINT32_MAX);
  EXPECT_EQ(**file->integer("i32"), INT32_MIN);
  EXPECT_EQ(std::get<uint64_t>(file->find("u64")->value), UINT64_MAX);
  EXPECT_EQ(**file->integer("i64"), INT64_MIN);
  EXPECT_EQ(**file->real("f32"), 0.1f);
  EXPECT_EQ(**file->real("f64"), 0.1);
  EXPECT_EQ(**file->real("infinite"), -HUGE_VAL);
  EXPECT_EQ(**file->boolean("no"), false);
  EXPECT_EQ(**file->boolean("yes"), true);
  EXPECT_EQ(**file->string("empty"), "");
  EXPECT_EQ(**file->string("text"), std::string_view("zero \0 and \xff", 12));
  EXPECT_EQ((*file->array("texts"))->strings().at(3), std::string_view("\0", 1));
  EXPECT_EQ((*file->array("bytes"))->integer(1), 255);
  EXPECT_EQ((*file->array("doubles"))->number(1), -1e300);
  EXPECT_EQ((*file->array("bools"))->element_type(), GgufType::kBool);
  EXPECT_EQ((*file->array("bools"))->integer(2), 1);
  EXPECT_EQ((*file->array("nothing"))->size(), 0u);
  ASSERT_EQ(file->tensors().size(), 3u);
  const GgufTensor* cube = file->find_tensor("cube");
  EXPECT_EQ(cube->num_dims, 4);
  EXPECT_EQ(cube->dims[2], 3);
  EXPECT_EQ(cube->dtype, tensor::DType::kBF16);
  EXPECT_EQ(cube->data.size(), 12u);
  EXPECT_EQ(static_cast<char>(cube->data[11]), 'c');
  EXPECT_EQ(static_cast<char>(file->find_tensor("matrix")->data[0]), 'm');
}

TEST(GgufWriter, CopiesByteForByte) {
  std::string folder = fresh_folder("gguf_writer_copy");
  GgufWriter writer;
  writer.set_alignment(256);
  describe(writer);
  ASSERT_TRUE(write_all(writer, folder + "/first.gguf", example_data()));
  std::vector<std::string> paths = {folder + "/first.gguf"};
  for (const char* name : {"llama", "llama-rope-scaled", "qwen2", "gemma3"})  // written by the Python package gguf
    paths.push_back(retort::test::golden_folder() + name + ".gguf");
  for (const std::string& path : paths) {
    auto file = GgufFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(rewritten(*file, folder + "/copy.gguf") == read_file(path)) << path;
  }
}

TEST(GgufWriter, EveryCutOfItsFilesIsAnError) {
  std::string path = fresh_folder("gguf_writer_cuts") + "/m.gguf";
  GgufWriter writer;
  describe(writer);
  ASSERT_TRUE(write_all(writer, path, example_data()));
  std::string whole = read_file(path);
  EXPECT_EQ(RawGguf::parse_error(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    // A copy of just that size, so that a sanitizer sees any byte read beyond it.
    std::vector<char> cut(whole.data(), whole.data() + length);
    std::string error = RawGguf::parse_error({cut.data(), cut.size()});
    ASSERT_THAT(error, HasSubstr("test.gguf: ")) << "cut to " << length << " of " << whole.size() << " bytes";
  }
  GgufWriter vocabulary;
  vocabulary.set("general.architecture", "test");
  ASSERT_TRUE(write_all(vocabulary, path, {}));
  whole = read_file(path);
  EXPECT_EQ(RawGguf::parse_error(whole), "");
  for (size_t length = 0; length < whole.size(); ++length)
    ASSERT_NE(RawGguf::parse_error(std::string_view(whole).substr(0, length)), "") << length;
}

TEST(GgufWriter, WritesEveryTensorTypeAtEveryAlignment) {
  std::string path = fresh_folder("gguf_writer_types") + "/m.gguf";
  for (uint32_t alignment : {8u, 32u, 64u, 4096u}) {
    GgufWriter writer;
    writer.set_alignment(alignment);
    std::vector<std::string> data;
    const int64_t dims[] = {256, 3};
    for (const tensor::DTypeInfo& info : tensor::kDTypes) {
      writer.add_tensor(info.name, info.dtype, dims);
      data.emplace_back(static_cast<size_t>(tensor::row_bytes(info.dtype, 3 * 256)),
                        'a' + static_cast<char>(data.size()));
    }
    ASSERT_TRUE(write_all(writer, path, data));
    auto file = GgufFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(**file->integer("general.alignment"), alignment);
    for (size_t i = 0; i < data.size(); ++i) {
      const GgufTensor& tensor = file->tensors()[i];
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) % alignment, 0u);
      EXPECT_EQ(tensor.name, tensor::kDTypes[i].name);
      EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()), data[i]);
    }
  }
}

TEST(GgufWriter, TakesDataInPieces) {
  std::string folder = fresh_folder("gguf_writer_pieces");
  GgufWriter whole, pieces;
  describe(whole);
  describe(pieces);
  ASSERT_TRUE(write_all(whole, folder + "/whole.gguf", example_data()));
  std::vector<std::string> bytes;
  for (const std::string& tensor : example_data())
    for (char c : tensor) bytes.emplace_back(1, c);
  ASSERT_TRUE(write_all(pieces, folder + "/pieces.gguf", bytes));
  EXPECT_TRUE(read_file(folder + "/whole.gguf") == read_file(folder + "/pieces.gguf"));
}

TEST(GgufWriter, ReplacesValuesInPlace) {
  std::string path = fresh_folder("gguf_writer_replace") + "/m.gguf";
  GgufWriter writer;
  writer.set("a", 1);
  writer.set("b", 2);
  writer.set("a", "one");
  ASSERT_TRUE(write_all(writer, path, {}));
  auto file = GgufFile::open(path);
  ASSERT_TRUE(file);
  ASSERT_EQ(file->metadata().size(), 2u);
  EXPECT_EQ(file->metadata()[0].key, "a");
  EXPECT_EQ(**file->string("a"), "one");
}

TEST(GgufWriter, LeavesNothingWhenNotFinished) {
  std::string folder = fresh_folder("gguf_writer_unfinished"), path = folder + "/m.gguf";
  std::ofstream(path) << "old";
  {
    GgufWriter writer;
    describe(writer);
    ASSERT_TRUE(writer.begin(path));
    ASSERT_TRUE(writer.write(std::as_bytes(std::span("vvvv", 4))));
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()), 1);
}

TEST(GgufWriter, ReportsWhatItCannotWrite) {
  GgufWriter writer;
  describe(writer);
  EXPECT_THAT(writer.begin("/nonexistent/m.gguf").error().message, HasSubstr("/nonexistent/m.gguf: cannot create"));
  const int64_t dims[] = {4};
  writer.add_tensor("vector", tensor::DType::kF32, dims);
  EXPECT_THAT(writer.begin(testing::TempDir() + "twice.gguf").error().message,
              HasSubstr("tensor vector would be written twice"));
}

TEST(GgufWriterDeathTest, HoldsItsCallersToTheirPromises) {
  GgufWriter writer;
  describe(writer);
  const int64_t uneven[] = {31};
  EXPECT_DEATH(writer.add_tensor("t", tensor::DType::kQ8_0, uneven), "31");
  ASSERT_TRUE(writer.begin(testing::TempDir() + "promise.gguf"));
  EXPECT_DEATH((void)writer.write(std::as_bytes(std::span("0123456789abc", 13))), "13 <= 12");
  EXPECT_DEATH((void)writer.finish(), "0 == 3");
}
