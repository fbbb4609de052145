// Activations to 8 bits, one block of 32 at a time.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/kernels.h"

namespace {

/// A Block is made from 32 floats; largest() is their largest magnitude that is a number, store(inverse, quants, sums)
/// writes them times `inverse` as bytes, NaN as 0, and gives the sums of either half.
template <class Block>
inline void quantize_blocks(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out,
                            int64_t row_begin, int64_t row_end) {
  const int64_t blocks = out.cols / 32;
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const Block values(x + row * stride + block * 32);
      const float largest = values.largest(), scale = largest / 127;
      const bool usable = largest > 0 && largest <= std::numeric_limits<float>::max();
      int32_t sums[2];
      values.store(usable ? 127 / largest : 0, out.quants + row * out.cols + block * 32, sums);
      const int64_t at = row * blocks + block;
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(sums[0] + sums[1]);
      out.offsets32[at] = -128 * (sums[0] + sums[1]);
      for (int half = 0; half < 2; ++half) {
        out.sums16[2 * at + half] = scale * static_cast<float>(sums[half]);
        out.offsets16[2 * at + half] = -128 * sums[half];
      }
    }
  }
}

}  // namespace
