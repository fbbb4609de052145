// Pairs of bf16, one a lane, as AVX512-BF16's dot product takes them.
#pragma once

#include "kernels/avx512/floats.h"

namespace {

/// Lane i holds lane i of `even`, rounded, in its lower half, and that of `odd` in its upper half.
inline __m512i bfloat_pairs(Floats even, Floats odd) {
  alignas(64) static constexpr uint16_t kTurns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd.v, even.v));
  return _mm512_permutexvar_epi16(_mm512_load_si512(kTurns), halves);
}

}  // namespace
