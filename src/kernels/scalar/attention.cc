// Scalar attention with an online softmax: one pass over the keys, memory independent of their number.
// Method: Milakov & Gimelshein, "Online normalizer calculation for softmax" (2018).
#include <algorithm>
#include <cmath>

#include "kernels/dequantize.h"
#include "kernels/quantize.h"
#include "kernels/scalar/kernels_scalar.h"
#include "tensor/half.h"

namespace retort::kernels::scalar {
namespace {

void load_kv(KvType type, const std::byte* row, float* out, int64_t n) {
  tensor::DType dtype = type == KvType::kF32   ? tensor::DType::kF32
                        : type == KvType::kF16 ? tensor::DType::kF16
                                               : tensor::DType::kQ8_0;
  dequantize_row(dtype, row, out, n);
}

}  // namespace

void store_kv(KvType type, const float* x, std::byte* out, int64_t n) {
  tensor::DType dtype = type == KvType::kF32   ? tensor::DType::kF32
                        : type == KvType::kF16 ? tensor::DType::kF16
                                               : tensor::DType::kQ8_0;
  quantize_row(dtype, x, out, n);
}

void attention(const AttentionArgs& args) {
  int64_t dim = args.head_dim;
  auto* row = reinterpret_cast<float*>(args.scratch);  // one key or value
  auto* sum = reinterpret_cast<double*>(row + (dim + 1) / 2 * 2);
  int group = args.num_heads / args.num_kv_heads;
  for (int64_t query = args.query_begin; query < args.query_end; ++query) {
    int64_t last = args.first_position + query;
    int64_t first = args.window > 0 ? std::max<int64_t>(0, last - args.window + 1) : 0;
    for (int head = args.kv_head_begin * group; head < args.kv_head_end * group; ++head) {
      const float* q = args.queries + query * args.query_stride + head * dim;
      int64_t kv_offset = head / group * args.head_stride;
      double largest = -HUGE_VAL, total = 0;
      std::fill(sum, sum + dim, 0.0);
      for (int64_t position = std::max(first, args.key_begin); position <= std::min(last, args.key_end - 1);
           ++position) {
        load_kv(args.type, args.keys + kv_offset + position * args.position_stride, row, dim);
        double score = 0;
        for (int64_t i = 0; i < dim; ++i) score += static_cast<double>(q[i]) * row[i];
        score *= args.scale;
        if (score > largest) {  // rescale what has been summed relative to the old maximum
          double correction = std::exp(largest - score);
          total *= correction;
          for (int64_t i = 0; i < dim; ++i) sum[i] *= correction;
          largest = score;
        }
        double weight = std::exp(score - largest);
        total += weight;
        load_kv(args.type, args.values + kv_offset + position * args.position_stride, row, dim);
        for (int64_t i = 0; i < dim; ++i) sum[i] += weight * row[i];
      }
      float* out = args.output + query * args.output_stride + head * dim;
      for (int64_t i = 0; i < dim; ++i) out[i] = total > 0 ? static_cast<float>(sum[i] / total) : 0;
      if (args.log_sums != nullptr)
        args.log_sums[query * args.num_heads + head] = static_cast<float>(largest + std::log(total));
    }
  }
}

int64_t attention_scratch_bytes(int head_dim, int) {
  return (head_dim + 1) * 4 + head_dim * 8;
}

}  // namespace retort::kernels::scalar
