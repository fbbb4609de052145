#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

using retort::base::crc32c;

namespace {

uint32_t of(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text)));
}

}  // namespace

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(of(""), 0u);
  EXPECT_EQ(of("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32)), 0x8a9136aau);  // RFC 3720, B.4
}

TEST(Crc32c, ContinuesAtEveryCut) {
  std::string_view text = "a checkpoint is only as good as what it can prove";
  for (size_t cut = 0; cut <= text.size(); ++cut)
    EXPECT_EQ(crc32c(std::as_bytes(std::span(text.substr(cut))), of(text.substr(0, cut))), of(text));
}
