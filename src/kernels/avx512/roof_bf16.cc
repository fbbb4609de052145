// AVX-512's limit in bf16: dot products of pairs, summed in fp32.
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::avx512_bf16 {

int64_t roof_bf16(int64_t rounds) {
  return run_roof<24, __m512>(
      rounds, 32 * 2, _mm512_set1_epi16(0x3f00), _mm512_set1_epi16(0x3fa0), [](__m512 sum, __m512i x, __m512i y) {
        return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
      });
}

}  // namespace retort::kernels::avx512_bf16
