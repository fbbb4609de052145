// Every instruction set's kernels against the scalar reference: awkward sizes, misaligned buffers, sentinels behind
// outputs.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/dequantize.h"
#include "kernels/quantize.h"
#include "tensor/half.h"

using namespace retort;
using namespace retort::kernels;

namespace {

constexpr float kSentinel = 12345.5f;

const Kernels& scalar_kernels() {
  return *available().front();
}

/// n floats behind which a sentinel stands, one float off any alignment.
class Buffer {
 public:
  explicit Buffer(int64_t n) : n_(n), data_(static_cast<size_t>(n) + 2, kSentinel) {}
  static Buffer normal(int64_t n, base::Random& random, double spread = 1) {
    Buffer buffer(n);
    for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(spread * random.normal());
    return buffer;
  }
  float* data() { return data_.data() + 1; }
  const float* data() const { return data_.data() + 1; }
  float& operator[](int64_t i) { return data()[i]; }
  float operator[](int64_t i) const { return data()[i]; }
  int64_t size() const { return n_; }
  bool intact() const { return data_.front() == kSentinel && data_.back() == kSentinel; }

 private:
  int64_t n_;
  std::vector<float> data_;
};

/// Whether a and b agree within limit x (1 + |b|) everywhere; NaN never does.
testing::AssertionResult close(const Buffer& a, const Buffer& b, double limit) {
  for (int64_t i = 0; i < a.size(); ++i) {
    double error = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (!(error <= limit * (1 + std::fabs(b[i]))))
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " against " << b[i];
  }
  if (!a.intact()) return testing::AssertionFailure() << "wrote past the end";
  return testing::AssertionSuccess();
}

/// 64-byte aligned memory.
class Memory {
 public:
  explicit Memory(int64_t bytes) : storage_(static_cast<size_t>(bytes) + 64) {}
  std::byte* data() {
    auto at = reinterpret_cast<uintptr_t>(storage_.data());
    return storage_.data() + (64 - at % 64) % 64;
  }

 private:
  std::vector<std::byte> storage_;
};

/// Random blocks of any type: random bits (or the largest quants there are), with the half-precision scales made tame.
std::vector<std::byte> random_weights(tensor::DType dtype, int64_t rows, int64_t cols, base::Random& random,
                                      bool largest = false) {
  std::vector<std::byte> bytes(static_cast<size_t>(rows * tensor::row_bytes(dtype, cols)),
                               dtype == tensor::DType::kQ8_0 ? std::byte{0x80} : std::byte{0xff});
  for (std::byte& byte : bytes)
    if (!largest) byte = static_cast<std::byte>(random.bits());
  const tensor::DTypeInfo& info = tensor::info(dtype);
  auto set_half = [&](size_t block, size_t offset) {
    uint16_t half = tensor::float_to_half(static_cast<float>(0.02 * random.normal()));
    std::memcpy(bytes.data() + block * static_cast<size_t>(info.block_bytes) + offset, &half, 2);
  };
  using tensor::DType;
  for (size_t block = 0; block < bytes.size() / static_cast<size_t>(info.block_bytes); ++block) {
    switch (dtype) {
      case DType::kF32: {
        auto value = static_cast<float>(random.normal());
        std::memcpy(bytes.data() + 4 * block, &value, 4);
        break;
      }
      case DType::kF16:
        set_half(block, 0);
        break;
      case DType::kBF16: {
        uint16_t value = tensor::float_to_bfloat16(static_cast<float>(random.normal()));
        std::memcpy(bytes.data() + 2 * block, &value, 2);
        break;
      }
      case DType::kQ4_1:
      case DType::kQ5_1:
      case DType::kQ4_K:
      case DType::kQ5_K:
        set_half(block, 0);
        set_half(block, 2);
        break;
      case DType::kQ2_K:
        set_half(block, 80);
        set_half(block, 82);
        break;
      case DType::kQ3_K:
        set_half(block, 108);
        break;
      case DType::kQ6_K:
        set_half(block, 208);
        break;
      default:
        set_half(block, 0);
        break;
    }
  }
  return bytes;
}

/// All `rows` of `weights` by `tokens` rows of x.
LinearArgs linear_args(tensor::DType dtype, const std::vector<std::byte>& weights, int64_t rows, int64_t cols,
                       const QuantizedRows& x, int64_t tokens, float* output, std::byte* scratch) {
  LinearArgs args;
  args.dtype = dtype;
  args.weights = weights.data();
  args.in_features = cols;
  args.row_end = rows;
  args.num_tokens = tokens;
  args.quantized = &x;
  args.output = output;
  args.output_stride = rows;
  args.scratch = scratch;
  return args;
}

class KernelsTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& tested() const { return *GetParam(); }
};

}  // namespace

TEST_P(KernelsTest, LinearMatchesScalarForEveryType) {
  base::Random random(1);
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    std::vector<int64_t> widths = info.block_elements == 256  ? std::vector<int64_t>{256, 768}
                                  : info.block_elements == 32 ? std::vector<int64_t>{32, 96, 256, 576}
                                                              : std::vector<int64_t>{1, 15, 64, 81};
    for (int64_t cols : widths) {
      int64_t rows = 37;
      std::vector<std::byte> weights = random_weights(info.dtype, rows, cols, random);
      for (int64_t tokens : {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 29}) {
        Buffer x = Buffer::normal(tokens * cols, random);
        Buffer bias = Buffer::normal(rows, random);
        Memory quantized_memory(cols % 32 == 0 ? QuantizedRows::bytes(tokens, cols) : 0);
        QuantizedRows quantized;
        if (info.quantized) {
          quantized = QuantizedRows::at(quantized_memory.data(), tokens, cols);
          scalar_kernels().quantize_rows(x.data(), cols, quantized, 0, tokens);
        }
        auto run = [&](const Kernels& kernels, Buffer& out, int64_t begin, int64_t end) {
          Memory scratch(kernels.linear_scratch_bytes(info.dtype, cols, tokens));
          LinearArgs args = linear_args(info.dtype, weights, rows, cols, quantized, tokens, out.data(), scratch.data());
          args.row_begin = begin;
          args.row_end = end;
          args.input = x.data();
          args.input_stride = cols;
          args.bias = tokens % 2 == 0 ? bias.data() : nullptr;
          kernels.linear(args);
        };
        Buffer expected(tokens * rows), actual(tokens * rows);
        run(scalar_kernels(), expected, 0, rows);
        run(tested(), actual, 0, 16);
        run(tested(), actual, 16, rows);
        // Rounding grows with the root of the number of terms and their size.
        EXPECT_TRUE(close(actual, expected, 2e-5 * std::sqrt(static_cast<double>(cols))))
            << tested().name << " " << info.name << " cols=" << cols << " tokens=" << tokens;
        if (!info.quantized) continue;
        Buffer undivided(tokens * rows);
        run(tested(), undivided, 0, rows);
        EXPECT_TRUE(close(actual, undivided, 0)) << "how rows are shared out changes " << info.name << " of "
                                                 << tested().name << " cols=" << cols << " tokens=" << tokens;
      }
    }
  }
}

/// Where products are added in 16 bits, the largest must fit.
TEST_P(KernelsTest, LargestQuantsOfBothSidesDoNotOverflow) {
  base::Random random(8);
  const int64_t rows = 16, cols = 256, tokens = 12;
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    if (!info.quantized) continue;
    std::vector<std::byte> weights = random_weights(info.dtype, rows, cols, random, true);
    for (float value : {1.0f, -1.0f}) {
      Buffer x(tokens * cols);
      for (int64_t i = 0; i < tokens * cols; ++i) x[i] = value;
      for (int64_t some : {1, 2, 4, 8, 12}) {
        Memory memory(QuantizedRows::bytes(some, cols));
        QuantizedRows quantized = QuantizedRows::at(memory.data(), some, cols);
        scalar_kernels().quantize_rows(x.data(), cols, quantized, 0, some);
        auto run = [&](const Kernels& kernels, Buffer& out) {
          Memory scratch(kernels.linear_scratch_bytes(info.dtype, cols, some));
          kernels.linear(linear_args(info.dtype, weights, rows, cols, quantized, some, out.data(), scratch.data()));
        };
        Buffer expected(some * rows), actual(some * rows);
        run(scalar_kernels(), expected);
        run(tested(), actual);
        EXPECT_TRUE(close(actual, expected, 1e-5)) << tested().name << " " << info.name << " tokens=" << some;
      }
    }
  }
}

TEST_P(KernelsTest, RoundedLinearIsCloseAndDoesNotDependOnTheCut) {
  base::Random random(7);
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    if (!info.quantized) continue;
    for (int64_t cols :
         info.block_elements == 256 ? std::vector<int64_t>{256, 768} : std::vector<int64_t>{32, 96, 576}) {
      const int64_t rows = 57, tokens = 29;
      std::vector<std::byte> weights = random_weights(info.dtype, rows, cols, random);
      Buffer x = Buffer::normal(tokens * cols, random);
      Memory memory(QuantizedRows::bytes(tokens, cols));
      QuantizedRows quantized = QuantizedRows::at(memory.data(), tokens, cols);
      scalar_kernels().quantize_rows(x.data(), cols, quantized, 0, tokens);
      auto run = [&](const Kernels& kernels, Buffer& out, int64_t row_begin, int64_t row_end, int64_t first,
                     int64_t end) {
        Memory scratch(kernels.linear_scratch_bytes(info.dtype, cols, end - first));
        QuantizedRows some = quantized;  // tokens first to end
        some.rows = end - first;
        some.quants += first * cols;
        some.scales += first * cols / 32;
        some.sums32 += first * cols / 32;
        some.offsets32 += first * cols / 32;
        some.sums16 += first * cols / 16;
        some.offsets16 += first * cols / 16;
        LinearArgs args =
            linear_args(info.dtype, weights, rows, cols, some, end - first, out.data() + first * rows, scratch.data());
        args.row_begin = row_begin;
        args.row_end = row_end;
        args.may_round = true;
        kernels.linear(args);
      };
      Buffer expected(tokens * rows), whole(tokens * rows), cut(tokens * rows);
      run(scalar_kernels(), expected, 0, rows, 0, tokens);
      run(tested(), whole, 0, rows, 0, tokens);
      for (auto [first, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 14}, {14, tokens}}) {
        run(tested(), cut, 0, 16, first, end);
        run(tested(), cut, 16, rows, first, end);
      }
      EXPECT_TRUE(close(cut, whole, 2e-5 * std::sqrt(static_cast<double>(cols))))
          << tested().name << " " << info.name << " cols=" << cols;
      // Per weight up to 1/127 of the largest of its span: over a row seven standard deviations of that.
      std::vector<float> row(static_cast<size_t>(cols));
      for (int64_t r = 0; r < rows; ++r) {
        dequantize_row(info.dtype, weights.data() + r * tensor::row_bytes(info.dtype, cols), row.data(), cols);
        for (int64_t t = 0; t < tokens; ++t) {
          double limit = 0;
          for (int64_t span = 0; span < cols; span += 128) {
            double largest = 0, squares = 0;
            for (int64_t i = span; i < std::min(cols, span + 128); ++i) {
              largest = std::max(largest, std::fabs(static_cast<double>(row[static_cast<size_t>(i)])));
              squares += std::pow(static_cast<double>(x[t * cols + i]), 2);
            }
            limit += std::pow(largest * 2 / 127, 2) * squares;
          }
          double error = static_cast<double>(whole[t * rows + r]) - expected[t * rows + r];
          ASSERT_TRUE(std::fabs(error) <= std::sqrt(limit) + 1e-5)
              << tested().name << " " << info.name << " cols=" << cols << " row " << r << " token " << t << ": "
              << error;
        }
      }
      EXPECT_TRUE(whole.intact());
    }
  }
}

TEST_P(KernelsTest, QuantizeRowsMatchesScalar) {
  base::Random random(2);
  for (auto [rows, cols, stride] : {std::array<int64_t, 3>{3, 96, 96}, {1, 32, 32}, {2, 576, 576}, {3, 544, 550}}) {
    Buffer x = Buffer::normal(rows * stride, random, 3);
    for (int64_t i = 0; i < 32; ++i) x[i] = 0;  // an all-zero block
    if (cols > 40) x[40] = std::nanf("");
    if (cols > 100) x[100] = HUGE_VALF;
    Memory a(QuantizedRows::bytes(rows, cols)), b(QuantizedRows::bytes(rows, cols));
    QuantizedRows expected = QuantizedRows::at(a.data(), rows, cols), actual = QuantizedRows::at(b.data(), rows, cols);
    scalar_kernels().quantize_rows(x.data(), stride, expected, 0, rows);
    tested().quantize_rows(x.data(), stride, actual, 0, 1);
    tested().quantize_rows(x.data(), stride, actual, 1, rows);
    auto same = [](float value, float wanted) { return value == wanted || (std::isnan(value) && std::isnan(wanted)); };
    for (int64_t i = 0; i < rows * cols; ++i) ASSERT_EQ(actual.quants[i], expected.quants[i]) << i;
    for (int64_t i = 0; i < rows * cols / 32; ++i) {
      ASSERT_TRUE(same(actual.scales[i], expected.scales[i])) << i;
      ASSERT_TRUE(same(actual.sums32[i], expected.sums32[i])) << i;
      ASSERT_EQ(actual.offsets32[i], expected.offsets32[i]) << i;
    }
    for (int64_t i = 0; i < rows * cols / 16; ++i) {
      ASSERT_TRUE(same(actual.sums16[i], expected.sums16[i])) << i;
      ASSERT_EQ(actual.offsets16[i], expected.offsets16[i]) << i;
    }
  }
}

TEST_P(KernelsTest, StoreKvMatchesScalar) {
  base::Random random(7);
  for (int64_t n : {1, 2, 7, 16, 20, 33, 64}) {
    Buffer x = Buffer::normal(n, random, 3);
    std::vector<uint16_t> expected(static_cast<size_t>(n + 1), 0x1234), actual = expected;  // one more: untouched
    scalar_kernels().store_kv(KvType::kF16, x.data(), reinterpret_cast<std::byte*>(expected.data()), n);
    tested().store_kv(KvType::kF16, x.data(), reinterpret_cast<std::byte*>(actual.data()), n);
    EXPECT_EQ(actual, expected) << n;
  }
}

TEST_P(KernelsTest, AttentionMatchesScalar) {
  base::Random random(3);
  struct Case {
    int heads, kv_heads, head_dim;
    int64_t past, queries, window;
    KvType type;
  };
  std::vector<Case> cases = {
      {4, 2, 64, 0, 1, 0, KvType::kF32},  {4, 2, 64, 0, 32, 0, KvType::kF16},
      {9, 3, 64, 70, 5, 0, KvType::kF16}, {6, 1, 32, 200, 1, 0, KvType::kQ8_0},
      {4, 1, 96, 63, 2, 0, KvType::kF16}, {4, 1, 128, 190, 32, 8, KvType::kF16},
      {2, 2, 20, 64, 7, 0, KvType::kF32}, {4, 1, 256, 130, 9, 64, KvType::kF16},
      {1, 1, 2, 3, 30, 4, KvType::kF32},
  };
  for (const Case& c : cases) {
    int64_t keys = c.past + c.queries, query_dim = c.heads * c.head_dim;
    int64_t row_bytes = kv_row_bytes(c.type, c.head_dim);
    std::vector<std::byte> k(static_cast<size_t>(c.kv_heads * keys * row_bytes)), v(k.size());
    for (int64_t row = 0; row < c.kv_heads * keys; ++row) {
      Buffer kv = Buffer::normal(2 * c.head_dim, random);
      scalar_kernels().store_kv(c.type, kv.data(), k.data() + row * row_bytes, c.head_dim);
      scalar_kernels().store_kv(c.type, kv.data() + c.head_dim, v.data() + row * row_bytes, c.head_dim);
    }
    Buffer q = Buffer::normal(c.queries * query_dim, random, 2);
    auto run = [&](const Kernels& kernels, Buffer& out, int64_t key_begin = 0, int64_t key_end = INT64_MAX,
                   float* log_sums = nullptr, bool may_round = false, bool may_round_scores = false) {
      Memory scratch(kernels.attention_scratch_bytes(c.head_dim, c.heads / c.kv_heads));
      AttentionArgs args;
      args.query_end = c.queries;
      args.first_position = c.past;
      args.window = c.window;
      args.num_heads = c.heads;
      args.num_kv_heads = c.kv_heads;
      args.head_dim = c.head_dim;
      args.kv_head_end = c.kv_heads;
      args.scale = 0.2f;
      args.queries = q.data();
      args.query_stride = query_dim;
      args.type = c.type;
      args.keys = k.data();
      args.values = v.data();
      args.head_stride = keys * row_bytes;
      args.position_stride = row_bytes;
      args.output = out.data();
      args.output_stride = query_dim;
      args.scratch = scratch.data();
      args.key_begin = key_begin;
      args.key_end = key_end;
      args.log_sums = log_sums;
      args.may_round = may_round;
      args.may_round_scores = may_round_scores;
      kernels.attention(args);
    };
    Buffer expected(c.queries * query_dim), actual(c.queries * query_dim);
    run(scalar_kernels(), expected);
    run(tested(), actual);
    EXPECT_TRUE(close(actual, expected, 1e-5)) << tested().name << " head_dim=" << c.head_dim << " past=" << c.past;

    run(tested(), actual, 0, INT64_MAX, nullptr, true);  // bf16: at most 1/256 of the largest value
    EXPECT_TRUE(close(actual, expected, 1e-2)) << tested().name << " head_dim=" << c.head_dim << " past=" << c.past;
    // Scores of up to 20 are off by up to 0.03, and weights by as much of themselves; values differ by up to 5.
    run(tested(), actual, 0, INT64_MAX, nullptr, true, true);
    EXPECT_TRUE(close(actual, expected, 6e-2)) << tested().name << " head_dim=" << c.head_dim << " past=" << c.past;

    // The same in three parts of the keys, of which some queries see none.
    Buffer together(c.queries * query_dim), part(c.queries * query_dim);
    for (int64_t i = 0; i < together.size(); ++i) together[i] = 0;
    std::vector<double> weights(static_cast<size_t>(c.queries * c.heads), 0.0);
    for (int64_t i = 0; i < 3; ++i) {
      Buffer log_sums(c.queries * c.heads);
      run(tested(), part, keys * i / 3, keys * (i + 1) / 3, log_sums.data());
      EXPECT_TRUE(log_sums.intact());
      for (int64_t row = 0; row < c.queries * c.heads; ++row) {
        double weight = std::exp(static_cast<double>(log_sums[row]));
        weights[static_cast<size_t>(row)] += weight;
        for (int64_t j = row * c.head_dim; j < (row + 1) * c.head_dim; ++j)
          together[j] += static_cast<float>(weight) * part[j];
      }
    }
    for (int64_t j = 0; j < together.size(); ++j)
      together[j] /= static_cast<float>(weights[static_cast<size_t>(j / c.head_dim)]);
    EXPECT_TRUE(close(together, expected, 1e-5)) << tested().name << " in parts, past=" << c.past;
  }
}

TEST_P(KernelsTest, ElementwiseMatchesScalar) {
  base::Random random(4);
  for (int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 64, 130}) {
    Buffer a = Buffer::normal(n, random, 4), b = Buffer::normal(n, random), expected(n), actual(n);
    auto check = [&](const char* what, double limit, auto call) {
      call(scalar_kernels(), expected);
      call(tested(), actual);
      EXPECT_TRUE(close(actual, expected, limit)) << tested().name << " " << what << " n=" << n;
    };
    check("add", 0, [&](const Kernels& k, Buffer& out) { k.add(a.data(), b.data(), out.data(), n); });
    check("scale", 0, [&](const Kernels& k, Buffer& out) { k.scale(a.data(), 1.7f, out.data(), n); });
    check("silu", 1e-6,
          [&](const Kernels& k, Buffer& out) { k.gated(Activation::kSilu, a.data(), b.data(), out.data(), n); });
    check("gelu", 1e-6,
          [&](const Kernels& k, Buffer& out) { k.gated(Activation::kGeluTanh, a.data(), b.data(), out.data(), n); });
    if (n > 0)
      check("rms_norm", 1e-6,
            [&](const Kernels& k, Buffer& out) { k.rms_norm(a.data(), b.data(), 1e-5f, out.data(), n); });
    if (n % 2 == 0) {
      Buffer angles = Buffer::normal(n, random);
      for (RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalves})
        check("rope", 1e-6, [&](const Kernels& k, Buffer& out) {
          k.rope(layout, a.data(), angles.data(), angles.data() + n / 2, out.data(), n);
        });
    }
  }
}

TEST_P(KernelsTest, ActivationsAreRightAtTheirEnds) {
  Buffer x(6), ones(6), out(6);
  float values[] = {-1000, -30, -0.0f, 1e-6f, 30, 1000};
  for (int i = 0; i < 6; ++i) {
    x[i] = values[i];
    ones[i] = 1;
  }
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    tested().gated(activation, x.data(), ones.data(), out.data(), 6);
    EXPECT_NEAR(out[0], 0, 1e-6);
    EXPECT_NEAR(out[1], 0, 1e-6);
    EXPECT_EQ(out[2], 0);
    EXPECT_NEAR(out[3], 5e-7, 1e-9);
    EXPECT_FLOAT_EQ(out[4], 30);
    EXPECT_FLOAT_EQ(out[5], 1000);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, KernelsTest, testing::ValuesIn(available().begin(), available().end()),
                         [](const auto& tested) { return std::string(tested.param->name); });

TEST(Comparer, RefusesNan) {
  Buffer a(1), b(1);
  a[0] = std::nanf("");
  b[0] = 0;
  EXPECT_FALSE(close(a, b, 1e9));
}
