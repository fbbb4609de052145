// Models split into several GGUF files.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "formats/gguf_writer.h"

using namespace retort;
using namespace retort::formats;
using testing::AllOf;
using testing::HasSubstr;

namespace {

class SplitTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "gguf_split";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    for (int part = 1; part <= 3; ++part) write(part, part - 1, fmt::format("blk.{}.weight", part));
  }

  std::string path(int part, int count = 3) const {
    return fmt::format("{}/model-{:05}-of-{:05}.gguf", folder_, part, count);
  }

  /// Part `part` of three, which says it is number `number`, with one tensor of one element: part.
  void write(int part, int number, const std::string& tensor, int count = 3, int tensors = 3) const {
    GgufWriter writer;
    if (part == 1) writer.set("general.architecture", "test");
    writer.set("split.no", static_cast<uint16_t>(number));
    writer.set("split.count", static_cast<uint16_t>(count));
    writer.set("split.tensors.count", tensors);
    const int64_t dims[] = {1};
    writer.add_tensor(tensor, tensor::DType::kF32, dims);
    auto value = static_cast<float>(part);
    ASSERT_TRUE(writer.begin(path(part)));
    ASSERT_TRUE(writer.write(std::as_bytes(std::span(&value, 1))));
    ASSERT_TRUE(writer.finish());
  }

  std::string error() const {
    auto file = GgufFile::open(path(1));
    return file ? "opened" : file.error().message;
  }

  std::string folder_;
};

}  // namespace

TEST_F(SplitTest, OpensAllPartsByTheFirst) {
  auto file = GgufFile::open(path(1));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(**file->string("general.architecture"), "test");
  ASSERT_EQ(file->tensors().size(), 3u);
  uint64_t bytes = 0;
  for (int part = 1; part <= 3; ++part) {
    const GgufTensor* tensor = file->find_tensor(fmt::format("blk.{}.weight", part));
    ASSERT_NE(tensor, nullptr);
    float value;
    std::memcpy(&value, tensor->data.data(), 4);
    EXPECT_EQ(value, static_cast<float>(part));
    bytes += std::filesystem::file_size(path(part));
  }
  EXPECT_EQ(file->file_bytes(), bytes);
}

TEST_F(SplitTest, AsksForTheFirstPart) {
  auto file = GgufFile::open(path(2));
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("open its first part, NAME-00001-of-00003.gguf"));
  std::filesystem::rename(path(1), folder_ + "/renamed.gguf");
  file = GgufFile::open(folder_ + "/renamed.gguf");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("open its first part, NAME-00001-of-00003.gguf"));
}

TEST_F(SplitTest, NamesTheMissingPart) {
  std::filesystem::remove(path(3));
  EXPECT_THAT(error(),
              AllOf(HasSubstr("part 3 of 3 cannot be read"), HasSubstr("model-00003-of-00003.gguf: cannot open"),
                    HasSubstr("must lie beside the first")));
}

TEST_F(SplitTest, NamesTheDamagedPart) {
  std::filesystem::resize_file(path(2), std::filesystem::file_size(path(2)) - 1);
  EXPECT_THAT(error(), AllOf(HasSubstr("part 2 of 3 cannot be read"), HasSubstr("cut short")));
}

TEST_F(SplitTest, NoticesPartsThatAreCopiesOrMisnumbered) {
  std::filesystem::copy_file(path(2), path(3), std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(error(), AllOf(HasSubstr("model-00003-of-00003.gguf: split.no=1 and split.count=3, expected 2 and 3")));
  write(3, 2, "blk.3.weight", 4);
  EXPECT_THAT(error(), HasSubstr("model-00003-of-00003.gguf: split.no=2 and split.count=4, expected 2 and 3"));
  write(3, 2, "blk.3.weight");
  EXPECT_EQ(error(), "opened");
  std::filesystem::copy_file(path(2), path(1), std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(error(), HasSubstr("model-00001-of-00003.gguf: split.no=1 and split.count=3, expected 0 and 3"));
}

TEST_F(SplitTest, NoticesTensorsThatAreMissingOrTwice) {
  write(1, 0, "blk.1.weight", 3, 4);
  EXPECT_THAT(error(), HasSubstr("all parts together have 3 tensors, split.tensors.count is 4"));
  write(1, 0, "blk.2.weight");
  EXPECT_THAT(error(), HasSubstr("tensor \"blk.2.weight\" occurs twice"));
}
