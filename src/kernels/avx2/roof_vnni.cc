// AVX-VNNI's limit: 8-bit dot products in 256-bit registers.
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::avx2_vnni {

int64_t roof_int8(int64_t rounds) {
  return run_roof<12, __m256i>(rounds, 32 * 2, _mm256_set1_epi8(1), _mm256_set1_epi8(2),
                               [](__m256i sum, __m256i x, __m256i y) { return _mm256_dpbusd_avx_epi32(sum, x, y); });
}

}  // namespace retort::kernels::avx2_vnni
