// Training kernels of every instruction set: products against sums in double, small gradients against the scalar ones.
#include "kernels/training.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "kernels/dequantize.h"
#include "kernels/quantize.h"

using namespace retort;
using namespace retort::kernels;
using tensor::DType;

namespace {

constexpr float kSentinel = 12345.5f;

std::vector<float> normal(int64_t n, base::Random& random) {
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(random.normal());
  return x;
}

struct Case {
  int64_t rows, cols, depth;
};

/// C of one product with its rows and columns cut in two, as threads would; false when it wrote elsewhere.
bool run(const Kernels& kernels, MatmulArgs args, int64_t cols, std::vector<float>& c) {
  const TrainingKernels& training = *kernels.training;
  int64_t grain = tensor::info(args.b_dtype).block_elements;
  std::vector<std::byte> packed(static_cast<size_t>(training.matmul_packed_bytes(args)) + 64);
  auto align = [](std::vector<std::byte>& memory) {
    auto at = reinterpret_cast<uintptr_t>(memory.data());
    return memory.data() + (64 - at % 64) % 64;
  };
  int64_t units = training.matmul_pack_units(args);
  training.matmul_pack(args, align(packed), 0, units / 2);
  training.matmul_pack(args, align(packed), units / 2, units);
  std::vector<std::byte> scratch(static_cast<size_t>(training.matmul_scratch_bytes) + 64);
  args.packed_a = align(packed);
  args.scratch = align(scratch);
  args.c = c.data();
  int64_t half_rows = args.a_rows / 2, half_cols = cols / 2 / grain * grain;
  for (auto [r0, r1] : {std::pair{int64_t{0}, half_rows}, {half_rows, args.a_rows}})
    for (auto [c0, c1] : {std::pair{int64_t{0}, half_cols}, {half_cols, cols}}) {
      args.row_begin = r0, args.row_end = r1, args.col_begin = c0, args.col_end = c1;
      training.matmul(args);
    }
  for (int64_t r = 0; r < args.a_rows; ++r)
    for (int64_t i = cols; i < args.c_stride; ++i)
      if (c[static_cast<size_t>(r * args.c_stride + i)] != kSentinel) return false;
  return true;
}

class Matmul : public testing::TestWithParam<std::tuple<const Kernels*, Precision, bool, bool>> {};

void check(const Kernels& kernels, Precision precision, bool a_transposed, bool b_transposed, DType dtype,
           const Case& size, bool accumulate) {
  base::Random random(static_cast<uint64_t>(size.rows * 1000 + size.cols + size.depth));
  auto [rows, cols, depth] = size;
  std::vector<float> a = normal(rows * depth + 1, random);
  int64_t b_rows = b_transposed ? cols : depth, b_cols = b_transposed ? depth : cols;
  std::vector<float> b = normal(b_rows * b_cols, random);
  int64_t row_bytes = tensor::row_bytes(dtype, b_cols);
  std::vector<std::byte> stored(static_cast<size_t>(b_rows * row_bytes) + 1);
  for (int64_t r = 0; r < b_rows; ++r) {
    quantize_row(dtype, b.data() + r * b_cols, stored.data() + r * row_bytes, b_cols);
    dequantize_row(dtype, stored.data() + r * row_bytes, b.data() + r * b_cols, b_cols);
  }
  MatmulArgs args;
  args.precision = precision;
  args.depth = depth;
  args.a = a.data() + 1;
  args.a_rows = rows;
  args.a_stride = a_transposed ? rows : depth;
  args.a_transposed = a_transposed;
  args.b_dtype = dtype;
  args.b = stored.data();
  args.b_row_bytes = row_bytes;
  args.b_transposed = b_transposed;
  args.c_stride = cols + 3;
  args.accumulate = accumulate;
  std::vector<float> c(static_cast<size_t>(rows * args.c_stride), kSentinel);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < cols; ++i) c[static_cast<size_t>(r * args.c_stride + i)] = accumulate ? 0.5f : NAN;
  ASSERT_TRUE(run(kernels, args, cols, c));
  double unit = precision == Precision::kBfloat16 ? 1.0 / 256 : 2e-6;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < cols; ++i) {
      double sum = accumulate ? 0.5 : 0, size_of_terms = 1;
      for (int64_t k = 0; k < depth; ++k) {
        double left = args.a[a_transposed ? k * rows + r : r * depth + k];
        double term = left * b[static_cast<size_t>(b_transposed ? i * depth + k : k * cols + i)];
        sum += term;
        size_of_terms += term * term;
      }
      double error = std::fabs(c[static_cast<size_t>(r * args.c_stride + i)] - sum);
      ASSERT_TRUE(error <= 5 * unit * std::sqrt(size_of_terms))
          << "row " << r << " column " << i << ": " << c[static_cast<size_t>(r * args.c_stride + i)] << ", expected "
          << sum << " (" << rows << " x " << depth << " x " << cols << ", " << tensor::info(dtype).name << ")";
    }
}

}  // namespace

TEST_P(Matmul, MatchesSumsInDouble) {
  auto [kernels, precision, a_transposed, b_transposed] = GetParam();
  const Case floats[] = {{0, 5, 3},    {1, 1, 1},    {2, 7, 0},     {3, 16, 2},     {5, 33, 31},
                         {12, 32, 16}, {13, 31, 17}, {25, 65, 255}, {16, 300, 257}, {26, 17, 513}};
  for (const Case& size : floats)
    for (bool accumulate : {false, true})
      check(*kernels, precision, a_transposed, b_transposed, DType::kF32, size, accumulate);
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                      DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    check(*kernels, precision, a_transposed, b_transposed, dtype, {13, 256, 256}, false);
    check(*kernels, precision, a_transposed, b_transposed, dtype, {5, 256, 512}, true);
    if (tensor::info(dtype).block_elements <= 32)
      check(*kernels, precision, a_transposed, b_transposed, dtype, {9, 96, 576}, false);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Matmul,
                         testing::Combine(testing::ValuesIn(available().begin(), available().end()),
                                          testing::Values(Precision::kFloat32, Precision::kBfloat16), testing::Bool(),
                                          testing::Bool()),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param)->name) +
                                  (std::get<1>(tested.param) == Precision::kBfloat16 ? "_bf16" : "_fp32") +
                                  (std::get<2>(tested.param) ? "_at" : "_a") + (std::get<3>(tested.param) ? "bt" : "b");
                         });

namespace {

void expect_close(const std::vector<float>& actual, const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::fabs(actual[i] - expected[i]) <= 2e-5 * (1 + std::fabs(expected[i])))
        << what << " element " << i << ": " << actual[i] << ", expected " << expected[i];
}

}  // namespace

TEST(TrainingKernels, SmallGradientsMatchScalar) {
  const TrainingKernels& scalar = *available().front()->training;
  for (const Kernels* kernels : available())
    for (int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 33, 576}) {
      const TrainingKernels& tested = *kernels->training;
      base::Random random(static_cast<uint64_t>(n));
      std::vector<float> x = normal(n, random), y = normal(n, random), d = normal(n, random), old = normal(n, random);
      std::string what = std::string(kernels->name) + " n=" + std::to_string(n);
      auto both = [&](auto function) {
        std::vector<float> a = old, b = old, a2 = old, b2 = old;
        function(tested, a, a2);
        function(scalar, b, b2);
        expect_close(a, b, what);
        expect_close(a2, b2, what);
      };
      for (bool accumulate : {false, true})
        both([&](const TrainingKernels& k, std::vector<float>& dx, std::vector<float>& dw) {
          k.rms_norm_backward(x.data(), y.data(), 1e-5f, d.data(), dx.data(), accumulate,
                              accumulate ? dw.data() : nullptr, n);
        });
      for (Activation activation : {Activation::kSilu, Activation::kGeluTanh})
        both([&](const TrainingKernels& k, std::vector<float>& dgate, std::vector<float>& dup) {
          k.gated_backward(activation, x.data(), y.data(), d.data(), dgate.data(), dup.data(), n);
        });
      both([&](const TrainingKernels& k, std::vector<float>& p, std::vector<float>& dx) {
        k.softmax(x.data(), 0.7f, p.data(), n);
        k.softmax_backward(p.data(), d.data(), 0.7f, dx.data(), n);
      });
      both([&](const TrainingKernels& k, std::vector<float>& out, std::vector<float>& sums) {
        k.exp_scaled(x.data(), 0.3f, 2.5f, out.data(), n);
        if (n == 0) return;
        float largest = -INFINITY, sum = 0;
        k.log_sum_exp(x.data(), n, &largest, &sum);
        k.log_sum_exp(y.data(), n, &largest, &sum);
        sums[0] = largest + std::log(sum);
      });
    }
}
