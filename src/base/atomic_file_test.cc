#include "base/atomic_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_files.h"

using retort::base::AtomicFile;
using retort::test::fresh_folder;
using retort::test::read_file;

TEST(AtomicFile, ReplacesOnCommitOnly) {
  std::string folder = fresh_folder("atomic_file_test"), path = folder + "/out.txt";
  std::ofstream(path) << "old";
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write(std::string("new ")));
    ASSERT_TRUE(file->write(std::string("content")));
    EXPECT_EQ(file->size(), 11u);
    EXPECT_EQ(read_file(path), "old");
    ASSERT_TRUE(file->commit());
  }
  EXPECT_EQ(read_file(path), "new content");
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  std::string folder = fresh_folder("atomic_file_abandoned");
  {
    auto file = AtomicFile::create(folder + "/out.txt");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(std::string("half")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(AtomicFile, NamesTheFolderThatIsMissing) {
  auto file = AtomicFile::create("/nonexistent/out.txt");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("/nonexistent/out.txt: cannot create"), std::string::npos);
}

TEST(AtomicFile, ReportsACommitThatCannotLand) {
  std::string folder = fresh_folder("atomic_file_full");
  auto file = AtomicFile::create(folder + "/out.txt");
  ASSERT_TRUE(file);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(file->write(std::string("x")));
  EXPECT_FALSE(file->commit());  // the temporary is gone: the rename must fail and say so
}
