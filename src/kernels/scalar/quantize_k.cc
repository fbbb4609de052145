#include "kernels/scalar/quantize_k.h"

#include <algorithm>
#include <cmath>

#include "tensor/half.h"

namespace retort::kernels {
namespace {

using namespace tensor;

int rounded(float x, int low, int high) {
  return std::clamp(static_cast<int>(std::nearbyint(x)), low, high);
}

/// x is approximated by scale * q - minimum, q = 0 .. top, minimum >= 0.
struct Affine {
  float scale = 0, minimum = 0;
};

/// How much an error at each of the n elements counts.
void weigh(const float* x, int n, float* weights) {
  float squares = 0;
  for (int i = 0; i < n; ++i) squares += x[i] * x[i];
  float typical = std::sqrt(squares / static_cast<float>(n));
  for (int i = 0; i < n; ++i) weights[i] = typical + std::fabs(x[i]);
}

float affine_error(const float* x, const float* weights, int n, int top, Affine f) {
  float inverse = f.scale > 0 ? 1 / f.scale : 0, error = 0;
  for (int i = 0; i < n; ++i) {
    auto q = static_cast<float>(rounded((x[i] + f.minimum) * inverse, 0, top));
    float off = f.scale * q - f.minimum - x[i];
    error += weights[i] * off * off;
  }
  return error;
}

/// Scale and minimum of 32 elements: candidates around the range divided by `top`, each followed by the least-squares
/// fit to the quants it gives.
Affine fit_affine(const float* x, int top) {
  constexpr int kSize = 32;
  float weights[kSize];
  weigh(x, kSize, weights);
  float low = std::min(0.f, *std::min_element(x, x + kSize)), high = std::max(*std::max_element(x, x + kSize), low);
  if (high == low) return {0, -low};
  Affine best{(high - low) / static_cast<float>(top), -low};
  float best_error = affine_error(x, weights, kSize, top, best);
  for (int step = -10; step <= 10; ++step) {
    float inverse = (static_cast<float>(top) + 0.1f * static_cast<float>(step)) / (high - low);
    double sw = 0, sq = 0, sqq = 0, sx = 0, sxq = 0;
    for (int i = 0; i < kSize; ++i) {
      int q = rounded((x[i] - low) * inverse, 0, top);
      double w = weights[i];
      sw += w;
      sq += w * q;
      sqq += w * q * q;
      sx += w * x[i];
      sxq += w * q * x[i];
    }
    double determinant = sw * sqq - sq * sq;
    if (!(determinant > 0)) continue;
    double scale = (sw * sxq - sx * sq) / determinant, minimum = (sq * sxq - sqq * sx) / determinant;
    if (minimum < 0) {  // the stored minimum has no sign
      minimum = 0;
      scale = sqq > 0 ? sxq / sqq : 0;
    }
    if (!(scale > 0)) continue;
    Affine candidate{static_cast<float>(scale), static_cast<float>(minimum)};
    float error = affine_error(x, weights, kSize, top, candidate);
    if (error < best_error) {
      best_error = error;
      best = candidate;
    }
  }
  return best;
}

/// The scale of 16 elements, x approximated by scale * q, q = -top .. top - 1. May be negative.
float fit_symmetric(const float* x, int top) {
  constexpr int kSize = 16;
  float extreme = 0;
  for (int i = 0; i < kSize; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  if (extreme == 0) return 0;
  float best = 0;
  double best_gain = -1;  // minimising the error is maximising (sum w x q)^2 / (sum w q^2)
  for (int step = -9; step <= 9; ++step) {
    float inverse = -(static_cast<float>(top) + 0.1f * static_cast<float>(step)) / extreme;
    double sxq = 0, sqq = 0;
    for (int i = 0; i < kSize; ++i) {
      int q = rounded(x[i] * inverse, -top, top - 1);
      double w = static_cast<double>(x[i]) * x[i];
      sxq += w * x[i] * q;
      sqq += w * q * q;
    }
    if (sqq > 0 && sxq * sxq / sqq > best_gain) {
      best_gain = sxq * sxq / sqq;
      best = static_cast<float>(sxq / sqq);
    }
  }
  return best;
}

void pack_k4_scale(uint8_t* scales, int g, int scale, int minimum) {
  if (g < 4) {
    scales[g] = static_cast<uint8_t>(scales[g] | scale);
    scales[g + 4] = static_cast<uint8_t>(scales[g + 4] | minimum);
  } else {
    scales[g + 4] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
    scales[g - 4] = static_cast<uint8_t>(scales[g - 4] | (scale >> 4) << 6);
    scales[g] = static_cast<uint8_t>(scales[g] | (minimum >> 4) << 6);
  }
}

/// Q4_K and Q5_K: calls put(run, element, quant) for all elements after the scales are set.
template <class Block, class Put>
void affine_block(const float* x, Block& block, int top, Put put) {
  Affine fits[8];
  float largest_scale = 0, largest_minimum = 0;
  for (int g = 0; g < 8; ++g) {
    fits[g] = fit_affine(x + 32 * g, top);
    largest_scale = std::max(largest_scale, fits[g].scale);
    largest_minimum = std::max(largest_minimum, fits[g].minimum);
  }
  block.d = float_to_half(largest_scale / 63);
  block.m = float_to_half(largest_minimum / 63);
  float d = half_to_float(block.d), m = half_to_float(block.m);
  for (int g = 0; g < 8; ++g) {
    int scale = d > 0 ? rounded(fits[g].scale / d, 0, 63) : 0;
    int minimum = m > 0 ? rounded(fits[g].minimum / m, 0, 63) : 0;
    pack_k4_scale(block.scales, g, scale, minimum);
    float step = d * static_cast<float>(scale), low = m * static_cast<float>(minimum);
    for (int e = 0; e < 32; ++e) put(g, e, step > 0 ? rounded((x[32 * g + e] + low) / step, 0, top) : 0);
  }
}

}  // namespace

void quantize_block(const float* x, BlockQ4_K& block) {
  affine_block(x, block, 15, [&](int run, int e, int q) {
    uint8_t& byte = block.nibbles[run / 2 * 32 + e];
    byte = static_cast<uint8_t>(byte | q << run % 2 * 4);
  });
}

void quantize_block(const float* x, BlockQ5_K& block) {
  affine_block(x, block, 31, [&](int run, int e, int q) {
    uint8_t& byte = block.nibbles[run / 2 * 32 + e];
    byte = static_cast<uint8_t>(byte | (q & 15) << run % 2 * 4);
    block.high[e] = static_cast<uint8_t>(block.high[e] | (q >> 4) << run);
  });
}

void quantize_block(const float* x, BlockQ6_K& block) {
  float scales[16], extreme = 0;
  for (int g = 0; g < 16; ++g) {
    scales[g] = fit_symmetric(x + 16 * g, 32);
    if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
  }
  block.d = float_to_half(extreme / -128);  // the largest becomes -128, which the code has one more of
  float d = half_to_float(block.d);
  if (d == 0) return;
  for (int g = 0; g < 16; ++g) {
    block.scales[g] = static_cast<int8_t>(rounded(scales[g] / d, -128, 127));
    float step = d * static_cast<float>(block.scales[g]);
    for (int e = 0; e < 16; ++e) {
      int i = 16 * g + e, half = i / 128, part = i / 32 % 4, at = i % 32;
      int q = step != 0 ? rounded(x[i] / step, -32, 31) + 32 : 32;
      uint8_t& low = block.low[half * 64 + part % 2 * 32 + at];
      low = static_cast<uint8_t>(low | (q & 15) << part / 2 * 4);
      uint8_t& high = block.high[half * 32 + at];
      high = static_cast<uint8_t>(high | (q >> 4) << part * 2);
    }
  }
}

}  // namespace retort::kernels
