// AVX-512's limits: reading, dpbusd, fp32 multiply-adds.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/roof.h"

namespace retort::kernels::avx512 {

uint64_t roof_read(const std::byte* data, int64_t bytes) {
  __m512i sums[4] = {};
  for (int64_t i = 0; i + 256 <= bytes; i += 256)
    for (int j = 0; j < 4; ++j) sums[j] = _mm512_xor_si512(sums[j], _mm512_loadu_si512(data + i + 64 * j));
  __m512i all = _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(all));
}

int64_t roof_int8(int64_t rounds) {
  return run_roof<24, __m512i>(rounds, 64 * 2, _mm512_set1_epi8(1), _mm512_set1_epi8(2),
                               [](__m512i sum, __m512i x, __m512i y) { return _mm512_dpbusd_epi32(sum, x, y); });
}

int64_t roof_fp32(int64_t rounds) {
  return run_roof<24, __m512>(rounds, 16 * 2, _mm512_set1_ps(0.5f), _mm512_set1_ps(1.25f),
                              [](__m512 sum, __m512 x, __m512 y) { return _mm512_fmadd_ps(sum, x, y); });
}

}  // namespace retort::kernels::avx512
