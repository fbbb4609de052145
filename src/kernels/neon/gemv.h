// Products of quantized weights with one to three tokens: each weight row is read once, straight from the file's
// blocks, and multiplied 32 elements at a time in 8 bits. The bound is memory bandwidth. The including file defines
// Isa first, with dot16 and dot32: sums of products in four lanes.
#pragma once

#include <utility>

#include "kernels/kernels.h"
#include "kernels/neon/quants.h"

namespace {

/// Eight floats of which those past `count` are 0.
inline GroupScales<32> load_first8(const float* p, int count) {
  if (count >= 8) return {{vld1q_f32(p), vld1q_f32(p + 4)}};
  float lanes[8] = {};
  for (int i = 0; i < count; ++i) lanes[i] = p[i];
  return {{vld1q_f32(lanes), vld1q_f32(lanes + 4)}};
}

/// The weights' scales times those of the activations' blocks.
inline GroupScales<32> scale_groups(const GroupScales<32>& d, const GroupScales<32>& a) {
  return {{vmulq_f32(d.v[0], a.v[0]), vmulq_f32(d.v[1], a.v[1])}};
}
inline GroupScales<16> scale_groups(const GroupScales<16>& d, const GroupScales<32>& a) {
  return {{vmulq_f32(d.v[0], vzip1q_f32(a.v[0], a.v[0])), vmulq_f32(d.v[1], vzip2q_f32(a.v[0], a.v[0])),
           vmulq_f32(d.v[2], vzip1q_f32(a.v[1], a.v[1])), vmulq_f32(d.v[3], vzip2q_f32(a.v[1], a.v[1]))}};
}

/// One token's sums while a row is walked: `products` holds d * q * a (two, to hide the latency of the addition),
/// `mins` the part that does not depend on q.
struct RowSums {
  float32x4_t products[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
  float32x4_t mins = vdupq_n_f32(0);
};

/// Adds `count` blocks of 32 (at most 8) starting at `weights` to every token's sums. Inlined, so that a count of 8 is
/// known and the sums stay in registers.
template <class T, int M>
[[gnu::always_inline]] inline void add_blocks(const uint8_t* weights, int count,
                                              const retort::kernels::QuantizedRows& x, int64_t block, RowSums* sums) {
  const int64_t blocks = x.cols / 32;
  GroupScales<T::kGroup> d, m, scaled[M];
  T::scales(weights, count, d, m);
  for (int t = 0; t < M; ++t) {
    int64_t at = t * blocks + block;
    scaled[t] = scale_groups(d, load_first8(x.scales + at, count));
    if constexpr (T::kHasMin && T::kGroup == 32) {
      GroupScales<32> a = load_first8(x.sums32 + at, count);
      for (int v = 0; v < 2; ++v) sums[t].mins = vfmaq_f32(sums[t].mins, m.v[v], a.v[v]);
    } else if constexpr (T::kHasMin) {
      for (int v = 0; v < 4; ++v) sums[t].mins = vfmaq_f32(sums[t].mins, m.v[v], vld1q_f32(x.sums16 + 2 * at + 4 * v));
    }
  }
  auto step = [&](auto index) __attribute__((always_inline)) {
    constexpr int S = decltype(index)::value;
    if (S >= count) return;
    int8x16x2_t q = T::template quants<S>(weights);
    for (int t = 0; t < M; ++t) {
      int8x16x2_t a = vld1q_s8_x2(x.quants + t * x.cols + (block + S) * 32);
      if constexpr (T::kGroup == 32) {
        float32x4_t dot = vcvtq_f32_s32(Isa::dot32<T::kWide>(q, a));
        sums[t].products[S % 2] = vfmaq_laneq_f32(sums[t].products[S % 2], dot, scaled[t].v[S / 4], S % 4);
      } else {
        float32x4_t low = vcvtq_f32_s32(Isa::dot16(q.val[0], a.val[0]));
        float32x4_t high = vcvtq_f32_s32(Isa::dot16(q.val[1], a.val[1]));
        sums[t].products[0] = vfmaq_laneq_f32(sums[t].products[0], low, scaled[t].v[S / 2], S % 2 * 2);
        sums[t].products[1] = vfmaq_laneq_f32(sums[t].products[1], high, scaled[t].v[S / 2], S % 2 * 2 + 1);
      }
    }
  };
  [&]<int... S>(std::integer_sequence<int, S...>) __attribute__((always_inline)) {
    (step(std::integral_constant<int, S>{}), ...);
  }
  (std::make_integer_sequence<int, 8>{});
}

template <class T, int M>
void gemv(const retort::kernels::LinearArgs& args) {
  const retort::kernels::QuantizedRows& x = *args.quantized;
  const int64_t blocks = args.in_features / 32;
  const int64_t row_bytes = blocks * T::kBytes / 8;
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const auto* weights = reinterpret_cast<const uint8_t*>(args.weights) + row * row_bytes;
    RowSums sums[M];
    int64_t block = 0;
    for (; block + 8 <= blocks; block += 8, weights += T::kBytes) add_blocks<T, M>(weights, 8, x, block, sums);
    if constexpr (T::kGroup == 32)  // the other types come in super-blocks, which leave no rest
      if (block < blocks) add_blocks<T, M>(weights, static_cast<int>(blocks - block), x, block, sums);
    for (int t = 0; t < M; ++t) {
      float32x4_t total = vaddq_f32(vaddq_f32(sums[t].products[0], sums[t].products[1]), sums[t].mins);
      args.output[t * args.output_stride + row] = vaddvq_f32(total) + (args.bias != nullptr ? args.bias[row] : 0);
    }
  }
}

}  // namespace
