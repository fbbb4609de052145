// The table for processors with dot product instructions (Armv8.2 FEAT_DotProd: since about 2018).
#include <cstdint>

#include "kernels/neon/dotprod.h"

namespace {

/// Tiles of 8 weight rows by 4 tokens. Four elements of four rows lie side by side and meet four elements of a token,
/// a lane of its vector.
struct Isa : DotProduct {
  static constexpr int kRows = 8, kTokens = 4;

  /// Four elements of four rows become one vector, four times.
  static void store_four(int8x16_t a, int8x16_t b, int8x16_t c, int8x16_t d, int8_t* out) {
    int32x4_t ab_even = vtrn1q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b));
    int32x4_t ab_odd = vtrn2q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b));
    int32x4_t cd_even = vtrn1q_s32(vreinterpretq_s32_s8(c), vreinterpretq_s32_s8(d));
    int32x4_t cd_odd = vtrn2q_s32(vreinterpretq_s32_s8(c), vreinterpretq_s32_s8(d));
    auto store = [out](int step, int64x2_t v) { vst1q_s8(out + step * 4 * kRows, vreinterpretq_s8_s64(v)); };
    store(0, vtrn1q_s64(vreinterpretq_s64_s32(ab_even), vreinterpretq_s64_s32(cd_even)));
    store(1, vtrn1q_s64(vreinterpretq_s64_s32(ab_odd), vreinterpretq_s64_s32(cd_odd)));
    store(2, vtrn2q_s64(vreinterpretq_s64_s32(ab_even), vreinterpretq_s64_s32(cd_even)));
    store(3, vtrn2q_s64(vreinterpretq_s64_s32(ab_odd), vreinterpretq_s64_s32(cd_odd)));
  }

  static void store_rows(const int8x16x2_t* rows, int8_t* out) {
    for (int half = 0; half < 2; ++half)
      for (int r = 0; r < kRows; r += 4)
        store_four(rows[r].val[half], rows[r + 1].val[half], rows[r + 2].val[half], rows[r + 3].val[half],
                   out + 16 * kRows * half + 4 * r);
  }

  template <int kGroup, bool kWide, int M>
  static void dot_group(const int8_t* w, const int8_t* a, int64_t stride, int32x4_t (*sums)[M]) {
    for (int i = 0; i < kRows / 4; ++i)
      for (int t = 0; t < M; ++t) sums[i][t] = vdupq_n_s32(0);
#pragma GCC unroll 2
    for (int k = 0; k < kGroup / 16; ++k, w += 16 * kRows, a += 16) {
      int8x16_t x[M];
      for (int t = 0; t < M; ++t) x[t] = vld1q_s8(a + t * stride);
      for (int i = 0; i < kRows / 4; ++i) {
        int8x16_t w0 = vld1q_s8(w + 16 * i), w1 = vld1q_s8(w + 16 * i + 4 * kRows);
        int8x16_t w2 = vld1q_s8(w + 16 * i + 8 * kRows), w3 = vld1q_s8(w + 16 * i + 12 * kRows);
        for (int t = 0; t < M; ++t) sums[i][t] = vdotq_laneq_s32(sums[i][t], w0, x[t], 0);
        for (int t = 0; t < M; ++t) sums[i][t] = vdotq_laneq_s32(sums[i][t], w1, x[t], 1);
        for (int t = 0; t < M; ++t) sums[i][t] = vdotq_laneq_s32(sums[i][t], w2, x[t], 2);
        for (int t = 0; t < M; ++t) sums[i][t] = vdotq_laneq_s32(sums[i][t], w3, x[t], 3);
      }
    }
  }
};

}  // namespace

#include "kernels/neon/table.h"

namespace retort::kernels::neon_dotprod {

extern const Kernels kTable;
const Kernels kTable = neon_table("neon_dotprod");

}  // namespace retort::kernels::neon_dotprod
