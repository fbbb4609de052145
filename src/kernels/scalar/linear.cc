// Scalar matrix products: every weight row is turned into floats and multiplied with the activations, token by token.
#include <cmath>

#include "kernels/dequantize.h"
#include "kernels/scalar/kernels_scalar.h"

namespace retort::kernels::scalar {

void quantize_rows(const float* x, int64_t stride, const QuantizedRows& out, int64_t row_begin, int64_t row_end) {
  constexpr int64_t kBlock = QuantizedRows::kBlock;
  int64_t num_blocks = out.cols / kBlock;
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < num_blocks; ++block) {
      const float* values = x + row * stride + block * kBlock;
      int8_t* quants = out.quants + row * out.cols + block * kBlock;
      float largest = 0;
      for (int64_t i = 0; i < kBlock; ++i) largest = std::fmax(largest, std::fabs(values[i]));
      float scale = largest / 127;
      float inverse = largest > 0 && std::isfinite(largest) ? 127 / largest : 0;
      int sums[2] = {0, 0};
      for (int64_t i = 0; i < kBlock; ++i) {
        float scaled = values[i] * inverse;
        int quant =
            scaled == scaled ? static_cast<int>(std::nearbyint(std::fmin(std::fmax(scaled, -127.f), 127.f))) : 0;
        quants[i] = static_cast<int8_t>(quant);
        sums[i / 16] += quant;
      }
      int64_t at = row * num_blocks + block;
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(sums[0] + sums[1]);
      out.offsets32[at] = -128 * (sums[0] + sums[1]);
      for (int64_t half = 0; half < 2; ++half) {
        out.sums16[2 * at + half] = scale * static_cast<float>(sums[half]);
        out.offsets16[2 * at + half] = -128 * sums[half];
      }
    }
  }
}

void linear(const LinearArgs& args) {
  auto* row = reinterpret_cast<float*>(args.scratch);
  int64_t n = args.in_features;
  bool quantized = tensor::info(args.dtype).quantized;
  for (int64_t out = args.row_begin; out < args.row_end; ++out) {
    dequantize_row(args.dtype, args.weights + out * tensor::row_bytes(args.dtype, n), row, n);
    for (int64_t token = 0; token < args.num_tokens; ++token) {
      double sum = args.bias != nullptr ? args.bias[out] : 0;
      if (quantized) {
        const int8_t* quants = args.quantized->quants + token * n;
        const float* scales = args.quantized->scales + token * (n / QuantizedRows::kBlock);
        for (int64_t k = 0; k < n; k += QuantizedRows::kBlock) {
          float block = 0;
          for (int64_t i = k; i < k + QuantizedRows::kBlock; ++i) block += row[i] * static_cast<float>(quants[i]);
          sum += static_cast<double>(block) * scales[k / QuantizedRows::kBlock];
        }
      } else {
        const float* input = args.input + token * args.input_stride;
        for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(row[k]) * input[k];
      }
      args.output[token * args.output_stride + out] = static_cast<float>(sum);
    }
  }
}

int64_t linear_scratch_bytes(tensor::DType, int64_t in_features, int64_t) {
  return in_features * 4;
}

int64_t linear_row_grain(tensor::DType, int64_t) {
  return 8;
}

}  // namespace retort::kernels::scalar
