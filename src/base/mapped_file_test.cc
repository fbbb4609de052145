#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <fstream>

using retort::base::MappedFile;

TEST(MappedFile, ShowsTheBytes) {
  std::string path = testing::TempDir() + "mapped_file_test.bin";
  std::ofstream(path, std::ios::binary) << "abc";
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->bytes().size(), 3u);
  EXPECT_EQ(static_cast<char>(file->bytes()[2]), 'c');

  MappedFile moved = std::move(*file);
  EXPECT_EQ(static_cast<char>(moved.bytes()[0]), 'a');
}

TEST(MappedFile, AcceptsAnEmptyFile) {
  std::string path = testing::TempDir() + "mapped_file_empty.bin";
  std::ofstream(path, std::ios::binary).flush();
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, NamesWhatIsMissing) {
  auto file = MappedFile::open("/nonexistent/model.gguf");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("/nonexistent/model.gguf: cannot open"), std::string::npos);
}

TEST(MappedFile, RefusesAFolder) {
  auto file = MappedFile::open("/tmp");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("regular file"), std::string::npos);
}
