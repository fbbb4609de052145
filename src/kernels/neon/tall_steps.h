// How fp32 products of training go with NEON's 32 registers.
#pragma once

#include "kernels/neon/floats.h"
#include "kernels/neon/transpose.h"
#include "kernels/simd/float_steps.h"

namespace {

struct TallSteps : FloatSteps {
  static constexpr int kTileRows = 12;  // by two vectors: 24 of the 32 registers hold sums
};

}  // namespace
