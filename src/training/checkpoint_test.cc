#include "training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace retort;
using testing::HasSubstr;
using training::CheckpointArray;

namespace {

const training::Settings kSettings = {{"rank", "16"}, {"seed", "1"}};

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "checkpoint_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    path_ = folder_ + "/last.checkpoint";
  }

  std::vector<CheckpointArray> arrays() { return {{"weight", weight_}, {"weight.moment", moment_}, {"empty", {}}}; }
  base::Status save() {
    training::Progress progress;
    progress.step = 12;
    progress.epoch = 1;
    progress.step_in_epoch = 3;
    progress.tokens = 4096;
    progress.seconds = 0.1;
    progress.best_loss = 1.0 / 3;
    progress.best_step = 10;
    progress.evaluations_since_best = 2;
    return training::save_checkpoint(path_, progress, kSettings, arrays());
  }
  base::Result<training::Progress> load(const training::Settings& settings = kSettings) {
    return training::load_checkpoint(path_, settings, arrays());
  }
  std::string bytes() {
    std::stringstream out;
    out << std::ifstream(path_, std::ios::binary).rdbuf();
    return out.str();
  }
  void write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string folder_, path_;
  std::vector<float> weight_ = {1, 2, 3}, moment_ = {0.5f, -0.0f, 1e-30f};
};

}  // namespace

TEST_F(CheckpointTest, RoundTrip) {
  ASSERT_TRUE(save());
  auto weight = weight_, moment = moment_;
  weight_ = {0, 0, 0}, moment_ = {0, 0, 0};
  auto progress = load();
  ASSERT_TRUE(progress) << progress.error().message;
  EXPECT_EQ(weight_, weight);
  EXPECT_EQ(moment_, moment);
  EXPECT_EQ(progress->step, 12);
  EXPECT_EQ(progress->epoch, 1);
  EXPECT_EQ(progress->step_in_epoch, 3);
  EXPECT_EQ(progress->tokens, 4096);
  EXPECT_EQ(progress->seconds, 0.1);
  EXPECT_EQ(progress->best_loss, 1.0 / 3);
  EXPECT_EQ(progress->best_step, 10);
  EXPECT_EQ(progress->evaluations_since_best, 2);
}

TEST_F(CheckpointTest, EveryCutAndEveryFlippedByteIsNoticedAndChangesNothing) {
  ASSERT_TRUE(save());
  const std::string whole = bytes();
  weight_ = {7, 7, 7};
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    write(whole.substr(0, cut));
    EXPECT_FALSE(load()) << "cut at " << cut;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write(damaged);
    EXPECT_FALSE(load()) << "byte " << at;
  }
  write(whole + "x");
  EXPECT_FALSE(load());
  EXPECT_EQ(weight_, (std::vector<float>{7, 7, 7}));
}

TEST_F(CheckpointTest, SaysWhichPartIsDamaged) {
  ASSERT_TRUE(save());
  std::string damaged = bytes();
  damaged[damaged.size() - 9] ^= 1;  // before: the moment's checksum and that of the empty array
  write(damaged);
  EXPECT_THAT(load().error().message,
              HasSubstr("the checkpoint is damaged: the checksum of weight.moment does not match; remove it"));
}

TEST_F(CheckpointTest, NamesTheSettingsThatDiffer) {
  ASSERT_TRUE(save());
  EXPECT_THAT(load({{"rank", "8"}, {"seed", "1"}}).error().message, HasSubstr("rank was 16, is 8; resume with"));
  EXPECT_THAT(load({{"rank", "16"}}).error().message, HasSubstr("seed was 1, is (nothing)"));
}

TEST_F(CheckpointTest, RefusesOtherArrays) {
  ASSERT_TRUE(save());
  weight_.push_back(4);
  EXPECT_THAT(load().error().message, HasSubstr("array 0 is weight with 3 numbers, this run expects weight with 4"));
}

TEST_F(CheckpointTest, AFullDiskLeavesTheOldOne) {
  ASSERT_TRUE(save());
  std::string before = bytes();
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small{16, old.rlim_max};  // the write fails part of the way, as on a full disk
  setrlimit(RLIMIT_FSIZE, &small);
  base::Status full = save();
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message, HasSubstr("cannot write"));
  EXPECT_EQ(bytes(), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}
