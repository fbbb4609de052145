#include "tensor/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

using retort::tensor::Arena;

TEST(Arena, ReusesWhatWasReleased) {
  Arena arena;
  void* first = arena.allocate(1000);
  arena.release(first, 1000);
  EXPECT_EQ(arena.allocate(1000), first);
  EXPECT_EQ(arena.used_bytes(), 1024);
}

TEST(Arena, AlignsAndServesLargeBlocks) {
  Arena arena;
  for (int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{65}, int64_t{3} << 20})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(bytes)) % 64, 0u);
}

TEST(Arena, KeepsBlocksApartAndGivesAllBack) {
  Arena arena;
  retort::base::Random random(5);
  struct Block {
    unsigned char* data;
    int64_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  int64_t settled = 0;
  for (int step = 0; step < 20000; ++step) {
    if (blocks.size() < 40 && random.below(2) == 0) {
      auto bytes = static_cast<int64_t>(random.below(step % 100 == 0 ? 2000000 : 20000)) + 1;
      Block block{static_cast<unsigned char*>(arena.allocate(bytes)), bytes, static_cast<unsigned char>(step)};
      std::memset(block.data, block.mark, static_cast<size_t>(bytes));
      blocks.push_back(block);
    } else if (!blocks.empty()) {
      size_t at = random.below(blocks.size());
      for (int64_t i = 0; i < blocks[at].bytes; ++i) ASSERT_EQ(blocks[at].data[i], blocks[at].mark);
      arena.release(blocks[at].data, blocks[at].bytes);
      blocks[at] = blocks.back();
      blocks.pop_back();
    }
    if (step == 10000) settled = arena.mapped_bytes();
  }
  EXPECT_LE(arena.mapped_bytes(), 3 * settled);  // fragmentation does not grow without bound
  for (const Block& block : blocks) arena.release(block.data, block.bytes);
  EXPECT_EQ(arena.used_bytes(), 0);
  arena.trim();
  EXPECT_EQ(arena.mapped_bytes(), 0);
}
