// The baseline ARMv8-A table: 8-bit products widened to 16 bits, eight at a time, and added up in pairs.
#include <arm_neon.h>

#include <cstdint>

namespace {

inline int32x4_t dot_wide(int8x16_t w, int8x16_t a) {  // two products of up to 128 x 127 fit 16 bits
  return vpaddlq_s16(vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(a)), w, a));
}

/// Tiles of 4 weight rows by 4 tokens, rows side by side 16 bytes at a time.
struct Isa {
  static constexpr int kRows = 4, kTokens = 4;

  static int32x4_t dot16(int8x16_t w, int8x16_t a) { return dot_wide(w, a); }

  template <bool kWide>
  static int32x4_t dot32(int8x16x2_t w, int8x16x2_t a) {
    int16x8_t products = vmull_s8(vget_low_s8(w.val[0]), vget_low_s8(a.val[0]));
    products = vmlal_high_s8(products, w.val[0], a.val[0]);
    if constexpr (kWide) {
      int16x8_t others = vmull_s8(vget_low_s8(w.val[1]), vget_low_s8(a.val[1]));
      return vpadalq_s16(vpaddlq_s16(products), vmlal_high_s8(others, w.val[1], a.val[1]));
    }
    products = vmlal_s8(products, vget_low_s8(w.val[1]), vget_low_s8(a.val[1]));
    return vpaddlq_s16(vmlal_high_s8(products, w.val[1], a.val[1]));
  }

  static void store_rows(const int8x16x2_t* rows, int8_t* out) {
    for (int half = 0; half < 2; ++half)
      for (int r = 0; r < kRows; ++r) vst1q_s8(out + 16 * (kRows * half + r), rows[r].val[half]);
  }

  template <int kGroup, bool kWide, int M>
  static void dot_group(const int8_t* w, const int8_t* a, int64_t stride, int32x4_t (*sums)[M]) {
    for (int t = 0; t < M; ++t) {
      int32x4_t rows[kRows];
      if constexpr (kGroup == 32) {
        int8x16x2_t x = vld1q_s8_x2(a + t * stride);
        for (int r = 0; r < kRows; ++r)
          rows[r] = dot32<kWide>({{vld1q_s8(w + 16 * r), vld1q_s8(w + 16 * (kRows + r))}}, x);
      } else {
        int8x16_t x = vld1q_s8(a + t * stride);
        for (int r = 0; r < kRows; ++r) rows[r] = dot16(vld1q_s8(w + 16 * r), x);
      }
      sums[0][t] = vpaddq_s32(vpaddq_s32(rows[0], rows[1]), vpaddq_s32(rows[2], rows[3]));
    }
  }
};

}  // namespace

#include "kernels/neon/table.h"

namespace retort::kernels::neon {

extern const Kernels kTable;
const Kernels kTable = neon_table("neon");

}  // namespace retort::kernels::neon
