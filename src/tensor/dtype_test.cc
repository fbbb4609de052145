#include "tensor/dtype.h"

#include <gtest/gtest.h>

using namespace retort::tensor;

TEST(DType, FindsByIdAndName) {
  EXPECT_EQ(dtype_from_id(12), DType::kQ4_K);
  EXPECT_EQ(dtype_from_id(4), std::nullopt);
  EXPECT_EQ(dtype_from_name("q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("IQ4_nl"), DType::kIQ4_NL);
  EXPECT_EQ(dtype_from_name("q9"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
  for (const DTypeInfo& entry : kDTypes) {
    EXPECT_EQ(dtype_from_name(entry.name), entry.dtype);
    EXPECT_EQ(info(entry.dtype).name, entry.name);
    EXPECT_NE(dtype_names().find(entry.name), std::string_view::npos);
  }
}

TEST(DType, KnowsRowSizes) {
  EXPECT_EQ(row_bytes(DType::kF32, 10), 40);
  EXPECT_EQ(row_bytes(DType::kQ4_1, 576), 18 * 20);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 512), 420);
}
