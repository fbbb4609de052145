#include "kernels/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/dequantize.h"
#include "kernels/scalar/kernels_scalar.h"

namespace retort::kernels::scalar {
namespace {

constexpr int64_t kChunk = 256;  // elements of a stored row that are dequantized at a time: a whole number of blocks

/// Elements [begin, end) of a stored row as floats: in place where they are.
const float* floats_of(const MatmulArgs& args, int64_t row, int64_t begin, int64_t end, float* buffer) {
  const std::byte* stored = args.b + row * args.b_row_bytes + tensor::row_bytes(args.b_dtype, begin);
  if (args.b_dtype == tensor::DType::kF32) return reinterpret_cast<const float*>(stored);
  dequantize_row(args.b_dtype, stored, buffer, end - begin);
  return buffer;
}

float element(const MatmulArgs& args, int64_t row, int64_t k) {
  return args.a_transposed ? args.a[k * args.a_stride + row] : args.a[row * args.a_stride + k];
}

void matmul(const MatmulArgs& args) {
  auto* buffer = reinterpret_cast<float*>(args.scratch);
  if (!args.accumulate)
    for (int64_t r = args.row_begin; r < args.row_end; ++r)
      std::fill(args.c + r * args.c_stride + args.col_begin, args.c + r * args.c_stride + args.col_end, 0.0f);
  if (args.b_transposed) {
    for (int64_t c = args.col_begin; c < args.col_end; ++c)
      for (int64_t k = 0; k < args.depth; k += kChunk) {
        int64_t end = std::min(args.depth, k + kChunk);
        const float* b = floats_of(args, c, k, end, buffer);
        for (int64_t r = args.row_begin; r < args.row_end; ++r) {
          float sum = 0;
          for (int64_t i = k; i < end; ++i) sum += element(args, r, i) * b[i - k];
          args.c[r * args.c_stride + c] += sum;
        }
      }
    return;
  }
  for (int64_t k = 0; k < args.depth; ++k)
    for (int64_t c = args.col_begin; c < args.col_end; c += kChunk) {
      int64_t end = std::min(args.col_end, c + kChunk);
      const float* b = floats_of(args, k, c, end, buffer);
      for (int64_t r = args.row_begin; r < args.row_end; ++r) {
        float a = element(args, r, k), *out = args.c + r * args.c_stride;
        for (int64_t i = c; i < end; ++i) out[i] += a * b[i - c];
      }
    }
}

int64_t matmul_packed_bytes(const MatmulArgs&) {
  return 0;
}
void matmul_pack(const MatmulArgs&, std::byte*, int64_t, int64_t) {}
int64_t matmul_pack_units(const MatmulArgs&) {
  return 0;
}

void rms_norm_backward(const float* x, const float* weight, float epsilon, const float* dout, float* dx,
                       bool accumulate, float* dweight, int64_t n) {
  double squares = 0, dot = 0;
  for (int64_t i = 0; i < n; ++i) {
    squares += static_cast<double>(x[i]) * x[i];
    dot += static_cast<double>(dout[i]) * weight[i] * x[i];
  }
  double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
  double shrink = inverse * inverse * dot / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    auto gradient = static_cast<float>(inverse * (static_cast<double>(dout[i]) * weight[i] - x[i] * shrink));
    dx[i] = accumulate ? dx[i] + gradient : gradient;
    if (dweight != nullptr) dweight[i] += static_cast<float>(dout[i] * x[i] * inverse);
  }
}

void gated_backward(Activation activation, const float* gate, const float* up, const float* dout, float* dgate,
                    float* dup, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    // Both activations are x * sigmoid(z).
    double x = gate[i], z = x, slope = 1;
    if (activation == Activation::kGeluTanh) {
      z = 1.5957691216057308 * x * (1 + 0.044715 * x * x);
      slope = 1.5957691216057308 * (1 + 3 * 0.044715 * x * x);
    }
    double s = 1 / (1 + std::exp(-z));
    float d = dout[i];
    dgate[i] = static_cast<float>(d * up[i] * (s + x * s * (1 - s) * slope));
    dup[i] = static_cast<float>(d * x * s);
  }
}

void softmax(const float* x, float scale, float* out, int64_t n) {
  float largest = -INFINITY;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, x[i] * scale);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = std::exp(x[i] * scale - largest);
    sum += out[i];
  }
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(out[i] / sum);
}

void softmax_backward(const float* p, const float* dp, float scale, float* dx, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(p[i]) * dp[i];
  for (int64_t i = 0; i < n; ++i) dx[i] = static_cast<float>(scale * p[i] * (dp[i] - sum));
}

void log_sum_exp(const float* x, int64_t n, float* largest, float* sum) {
  float top = *largest;
  for (int64_t i = 0; i < n; ++i) top = std::max(top, x[i]);
  double total = *sum == 0 ? 0 : static_cast<double>(*sum) * std::exp(static_cast<double>(*largest) - top);
  for (int64_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i]) - top);
  *largest = top;
  *sum = static_cast<float>(total);
}

void exp_scaled(const float* x, float shift, float factor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = factor * std::exp(x[i] - shift);
}

}  // namespace

const TrainingKernels kTraining = {
    .matmul = matmul,
    .matmul_scratch_bytes = kChunk * 4,
    .matmul_packed_bytes = matmul_packed_bytes,
    .matmul_pack = matmul_pack,
    .matmul_pack_units = matmul_pack_units,
    .rms_norm_backward = rms_norm_backward,
    .gated_backward = gated_backward,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .log_sum_exp = log_sum_exp,
    .exp_scaled = exp_scaled,
};

}  // namespace retort::kernels::scalar
