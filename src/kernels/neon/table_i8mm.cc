// The table for processors with 8-bit matrix multiplication (Armv8.6 FEAT_I8MM: Neoverse V1 and N2, Apple M2, ...).
#include <cstdint>

#include "kernels/neon/dotprod.h"

namespace {

/// Tiles of 8 weight rows by 4 tokens. One instruction multiplies eight elements of two rows with those of two tokens.
struct Isa : DotProduct {
  static constexpr int kRows = 8, kTokens = 4;

  static void store_rows(const int8x16x2_t* rows, int8_t* out) {
    for (int half = 0; half < 2; ++half)
      for (int r = 0; r < kRows; r += 2) {
        int64x2_t a = vreinterpretq_s64_s8(rows[r].val[half]), b = vreinterpretq_s64_s8(rows[r + 1].val[half]);
        int8_t* to = out + 16 * kRows * half + 8 * r;
        vst1q_s8(to, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
        vst1q_s8(to + 8 * kRows, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
      }
  }

  template <int kGroup, bool kWide, int M>
  static void dot_group(const int8_t* w, const int8_t* a, int64_t stride, int32x4_t (*sums)[M]) {
    constexpr int kPairs = (M + 1) / 2;  // of tokens; a last odd one is its own partner
    int32x4_t square[kRows / 2][kPairs];
    for (auto& row : square)
      for (int32x4_t& sum : row) sum = vdupq_n_s32(0);
#pragma GCC unroll 4
    for (int k = 0; k < kGroup / 8; ++k, w += 8 * kRows, a += 8) {
      int8x16_t x[kPairs];
      for (int p = 0; p < kPairs; ++p)
        x[p] = vcombine_s8(vld1_s8(a + 2 * p * stride), vld1_s8(a + (2 * p + 1 < M ? 2 * p + 1 : 2 * p) * stride));
      for (int r = 0; r < kRows / 2; ++r) {
        int8x16_t rows = vld1q_s8(w + 16 * r);
        for (int p = 0; p < kPairs; ++p) square[r][p] = vmmlaq_s32(square[r][p], rows, x[p]);
      }
    }
    for (int i = 0; i < kRows / 4; ++i)
      for (int t = 0; t < M; ++t) {
        int32x4_t low = square[2 * i][t / 2], high = square[2 * i + 1][t / 2];
        sums[i][t] = t % 2 == 0 ? vuzp1q_s32(low, high) : vuzp2q_s32(low, high);
      }
  }
};

}  // namespace

#include "kernels/neon/table.h"

namespace retort::kernels::neon_i8mm {

extern const Kernels kTable;
const Kernels kTable = neon_table("neon_i8mm");

}  // namespace retort::kernels::neon_i8mm
