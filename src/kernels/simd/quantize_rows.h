// Activations to 8 bits, up to eight blocks of 32 at a time: what one block waits for (its largest magnitude, a
// division, its sums) is done for all of them side by side.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/kernels.h"

namespace {

/// `kCount` blocks of x, to block number `at` of `out`, counted through all rows. A Block is made from 32 floats;
/// largest() is their largest magnitude that is a number, store(inverse, quants, sums) writes them times `inverse` as
/// bytes, NaN as 0, and gives the sums of either half.
template <class Block, int kCount>
inline void quantize_blocks(const float* x, const retort::kernels::QuantizedRows& out, int64_t at) {
  float largest[kCount], scales[kCount], inverses[kCount];
  int32_t sums[2 * kCount];
  for (int i = 0; i < kCount; ++i) largest[i] = Block(x + 32 * i).largest();
  for (int i = 0; i < kCount; ++i) {
    const bool usable = largest[i] > 0 && largest[i] <= std::numeric_limits<float>::max();
    const float inverse = 127 / (usable ? largest[i] : 1);
    inverses[i] = usable ? inverse : 0;
    scales[i] = largest[i] / 127;
  }
  for (int i = 0; i < kCount; ++i) Block(x + 32 * i).store(inverses[i], out.quants + 32 * (at + i), sums + 2 * i);

  float sums32[kCount], sums16[2 * kCount];
  int32_t offsets32[kCount], offsets16[2 * kCount];
  for (int i = 0; i < kCount; ++i) {
    const int32_t sum = sums[2 * i] + sums[2 * i + 1];
    sums32[i] = scales[i] * static_cast<float>(sum);
    offsets32[i] = -128 * sum;
  }
  for (int i = 0; i < 2 * kCount; ++i) {
    sums16[i] = scales[i / 2] * static_cast<float>(sums[i]);
    offsets16[i] = -128 * sums[i];
  }
  std::memcpy(out.scales + at, scales, sizeof scales);
  std::memcpy(out.sums32 + at, sums32, sizeof sums32);
  std::memcpy(out.offsets32 + at, offsets32, sizeof offsets32);
  std::memcpy(out.sums16 + 2 * at, sums16, sizeof sums16);
  std::memcpy(out.offsets16 + 2 * at, offsets16, sizeof offsets16);
}

template <class Block>
void quantize_rows(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out, int64_t row_begin,
                   int64_t row_end) {
  const int64_t blocks = out.cols / 32;
  auto run = [&](const float* from, int64_t at, int64_t end) {
    for (; end - at >= 8; at += 8, from += 8 * 32) quantize_blocks<Block, 8>(from, out, at);
    for (; end - at >= 2; at += 2, from += 2 * 32) quantize_blocks<Block, 2>(from, out, at);
    if (at < end) quantize_blocks<Block, 1>(from, out, at);
  };
  if (stride == out.cols) return run(x + row_begin * stride, row_begin * blocks, row_end * blocks);
  for (int64_t row = row_begin; row < row_end; ++row) run(x + row * stride, row * blocks, (row + 1) * blocks);
}

}  // namespace
