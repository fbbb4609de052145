// The AVX-512 table: VNNI dot products of 16 weight rows at a time, 512-bit floats.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/avx512/floats.h"
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/quantize_rows.h"
#include "kernels/avx512/transpose.h"

namespace {

/// Tiles of 16 weight rows by up to 12 tokens: 24 of the 32 registers hold sums.
struct Isa {
  static constexpr int kTokens = 12;
  static constexpr bool kRebases = true;

  /// rows[r] holds 8 dwords; vector j of `out` gets dword j of all 16 rows.
  static void store_rows(const __m256i* rows, uint8_t* out) {
    __m512i a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = _mm512_inserti64x4(_mm512_castsi256_si512(rows[i]), rows[i + 8], 1);
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
      b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) {
        a[4 * i + 2 * j] = _mm512_unpacklo_epi64(b[4 * i + j], b[4 * i + 2 + j]);
        a[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(b[4 * i + j], b[4 * i + 2 + j]);
      }
    // a[k] (k < 4): dwords k and k + 4 of rows 0-3 (and 8-11); a[4 + k]: of rows 4-7 (and 12-15).
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
                  high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int k = 0; k < 4; ++k) {
      _mm512_storeu_si512(out + 64 * k, _mm512_permutex2var_epi64(a[k], low, a[4 + k]));
      _mm512_storeu_si512(out + 64 * (k + 4), _mm512_permutex2var_epi64(a[k], high, a[4 + k]));
    }
  }
};

}  // namespace

#include "kernels/simd/table.h"
#include "kernels/x86/linear.h"

namespace retort::kernels::avx512 {

void few_tokens_tiles(const LinearArgs& args);   // few_tokens_blocks.cc
bool many_tokens_tiles(const LinearArgs& args);  // many_tokens.cc: false where the type is not among its own
int64_t many_tokens_scratch_bytes(int64_t in_features);

namespace {

void linear(const LinearArgs& args) {
  bool quantized = tensor::info(args.dtype).quantized;
  if (quantized && args.may_round && args.row_end >= kLaneCount && many_tokens_tiles(args)) return;
  if (is_for_few_tokens(args)) return few_tokens_tiles(args);
  any_linear<Floats>(args);
}

int64_t linear_scratch_bytes(tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  int64_t bytes = any_linear_scratch_bytes(dtype, in_features, num_tokens);
  return tensor::info(dtype).quantized ? std::max(bytes, many_tokens_scratch_bytes(in_features)) : bytes;
}

int64_t linear_row_grain(tensor::DType dtype, int64_t num_tokens) {
  if (!tensor::info(dtype).quantized) return any_linear_row_grain(dtype, num_tokens);
  return num_tokens <= kFewTokens ? kLaneCount : 2 * kLaneCount;
}

}  // namespace

extern const TrainingKernels kTraining;  // training.cc
extern const Kernels kTable;
const Kernels kTable = [] {
  Kernels table = simd_table("avx512", &kTraining);
  table.quantize_rows = quantize_rows;
  table.linear = linear;
  table.linear_scratch_bytes = linear_scratch_bytes;
  table.linear_row_grain = linear_row_grain;
  return table;
}();

}  // namespace retort::kernels::avx512
