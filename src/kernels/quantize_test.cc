#include "kernels/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/dequantize.h"

using namespace retort;
using namespace retort::kernels;

namespace {

/// Root of the mean squared error over that of the values, after a round trip.
double relative_error(tensor::DType dtype, const std::vector<float>& x) {
  auto n = static_cast<int64_t>(x.size());
  std::vector<std::byte> row(static_cast<size_t>(tensor::row_bytes(dtype, n)));
  std::vector<float> back(x.size());
  quantize_row(dtype, x.data(), row.data(), n);
  dequantize_row(dtype, row.data(), back.data(), n);
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (static_cast<double>(x[i]) - back[i]) * (static_cast<double>(x[i]) - back[i]);
    size += static_cast<double>(x[i]) * x[i];
  }
  return std::sqrt(error / size);
}

}  // namespace

TEST(Quantize, ErrorStaysWithinTheTypesBound) {
  base::Random random(1);
  std::vector<float> x(256 * 64);
  for (float& value : x) value = static_cast<float>(random.normal() * 0.05);
  struct Bound {
    tensor::DType dtype;
    double error;
  };
  using tensor::DType;
  for (Bound bound : std::vector<Bound>{{DType::kF32, 0},
                                        {DType::kF16, 3e-4},
                                        {DType::kBF16, 2.5e-3},
                                        {DType::kQ8_0, 6e-3},
                                        {DType::kQ6_K, 0.02},
                                        {DType::kQ5_K, 0.04},
                                        {DType::kQ5_1, 0.043},
                                        {DType::kQ5_0, 0.046},
                                        {DType::kQ4_K, 0.08},
                                        {DType::kQ4_1, 0.087},
                                        {DType::kQ4_0, 0.095}}) {
    double error = relative_error(bound.dtype, x);
    EXPECT_LE(error, bound.error) << tensor::info(bound.dtype).name;
    if (bound.error > 0) {
      EXPECT_GE(error, bound.error / 4) << tensor::info(bound.dtype).name << ": is the bound still one?";
    }
  }
}

TEST(Quantize, KeepsWhatItCanRepresent) {
  std::vector<float> zeros(256, 0.0f), constant(256, 0.5f), ramp(256);
  for (size_t i = 0; i < 256; ++i) ramp[i] = static_cast<float>(i % 16) - 8;
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    if (!can_quantize(info.dtype)) continue;
    std::vector<std::byte> row(static_cast<size_t>(tensor::row_bytes(info.dtype, 256)));
    std::vector<float> back(256, 1.0f);
    quantize_row(info.dtype, zeros.data(), row.data(), 256);
    dequantize_row(info.dtype, row.data(), back.data(), 256);
    for (float value : back) EXPECT_EQ(value, 0) << info.name;
    EXPECT_LE(relative_error(info.dtype, constant), 0.01) << info.name;
  }
  EXPECT_EQ(relative_error(tensor::DType::kQ4_0, ramp), 0);
  EXPECT_EQ(relative_error(tensor::DType::kQ5_0, ramp), 0);
  EXPECT_LE(relative_error(tensor::DType::kQ4_1, ramp), 1e-4);
}

TEST(Quantize, CountsNonsenseAsZero) {
  std::vector<float> x(256, 1.0f), back(256);
  x[3] = std::nanf("");
  x[200] = HUGE_VALF;
  for (tensor::DType dtype : {tensor::DType::kQ8_0, tensor::DType::kQ4_0, tensor::DType::kQ4_K, tensor::DType::kQ6_K}) {
    std::vector<std::byte> row(static_cast<size_t>(tensor::row_bytes(dtype, 256)));
    quantize_row(dtype, x.data(), row.data(), 256);
    dequantize_row(dtype, row.data(), back.data(), 256);
    EXPECT_NEAR(back[3], 0, 0.05) << tensor::info(dtype).name;
    EXPECT_NEAR(back[200], 0, 0.05) << tensor::info(dtype).name;
    EXPECT_NEAR(back[0], 1, 0.05) << tensor::info(dtype).name;
  }
}
