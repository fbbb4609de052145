// FloatSteps: fp32 products for simd/matmul.h, one float a step. The including file has its Floats and transpose_steps.
#pragma once

#include <cstdint>

namespace {

struct FloatSteps {
  static constexpr int kPair = 1, kTileRows = Floats::kLanes == 16 ? 12 : 6;
  using Steps = Floats;
  static Steps load(const uint32_t* p) { return Floats::load(reinterpret_cast<const float*>(p)); }
  static Steps broadcast(const uint32_t* p) { return Floats(*reinterpret_cast<const float*>(p)); }
  static Steps interleave(Floats even, Floats) { return even; }
  static void store(Steps steps, uint32_t* p) { steps.store(reinterpret_cast<float*>(p)); }
  static Floats multiply_add(Floats sum, Steps a, Steps b) { return Floats::fma(a, b, sum); }
  static void transpose(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
    transpose_steps(rows, out, stride);
  }
};

}  // namespace
