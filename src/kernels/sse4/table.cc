// The SSE4.1 table, for x86 processors without AVX2 (Intel's Atom line to 2021 among them).
#include <algorithm>

#include "kernels/scalar/kernels_scalar.h"
#include "kernels/simd/float_linear.h"
#include "kernels/sse4/lanes.h"
#include "kernels/sse4/quantize_rows.h"
#include "kernels/sse4/transpose.h"
#include "kernels/x86/few_tokens_k.h"
#include "kernels/x86/one_token.h"

#include "kernels/simd/table.h"

namespace retort::kernels::sse4 {
extern const TrainingKernels kTraining;  // training.cc
}

namespace {

QuantizedRows rows_from(const QuantizedRows& x, int64_t row) {
  const int64_t blocks = x.cols / 32;
  return {.rows = x.rows - row,
          .cols = x.cols,
          .quants = x.quants + row * x.cols,
          .scales = x.scales + row * blocks,
          .sums32 = x.sums32 + row * blocks,
          .sums16 = x.sums16 + row * 2 * blocks,
          .offsets32 = x.offsets32 + row * blocks,
          .offsets16 = x.offsets16 + row * 2 * blocks};
}

/// Prompts take the way of few tokens, too: what is unpacked in registers meets four tokens.
void linear(const LinearArgs& args) {
  if (!retort::tensor::info(args.dtype).quantized) return float_linear<Floats>(args);
  if (args.row_end < kLaneCount) return retort::kernels::scalar::linear(args);
  for (int64_t token = 0; token < args.num_tokens; token += kMostTokens) {
    const QuantizedRows quantized = rows_from(*args.quantized, token);
    LinearArgs part = args;
    part.quantized = &quantized;
    part.output = args.output + token * args.output_stride;
    part.num_tokens = std::min(kMostTokens, args.num_tokens - token);
    if (!few_tokens_of_blocks(part)) few_tokens_of_super_blocks(part);
  }
}

int64_t linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return 0;
  int64_t records = std::min(num_tokens, kMostTokens) * (in_features / 32) * (32 + 4 + 2 * 4);
  return std::max(records, retort::kernels::scalar::linear_scratch_bytes(dtype, in_features, num_tokens));
}

int64_t linear_row_grain(retort::tensor::DType dtype, int64_t) {
  return retort::tensor::info(dtype).quantized ? kLaneCount : kFloatRows;
}

constexpr retort::kernels::Kernels sse4_table() {
  retort::kernels::Kernels table = simd_table("sse4", &retort::kernels::sse4::kTraining);
  table.quantize_rows = quantize_rows<FloatBlock>;
  table.linear = linear;
  table.linear_scratch_bytes = linear_scratch_bytes;
  table.linear_row_grain = linear_row_grain;
  return table;
}

}  // namespace

namespace retort::kernels::sse4 {

extern const Kernels kTable;
const Kernels kTable = sse4_table();

}  // namespace retort::kernels::sse4
