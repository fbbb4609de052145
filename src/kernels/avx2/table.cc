// The AVX2 table: 8-bit products through 16-bit sums.
#include <immintrin.h>

namespace {

/// Sums of four products u * s in each lane. vpmaddubsw adds pairs in 16 bits: up to 127 * 127 * 2 that is exact; wider
/// quants take the even and the odd bytes in turn.
template <bool kWide>
inline __m256i dot_u8s8(__m256i sum, __m256i u, __m256i s) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (!kWide) return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), ones));
  const __m256i even = _mm256_set1_epi16(0xff);
  __m256i first = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_and_si256(u, even), s), ones);
  __m256i second = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_andnot_si256(even, u), s), ones);
  return _mm256_add_epi32(sum, _mm256_add_epi32(first, second));
}

}  // namespace

#include "kernels/avx2/table.h"

namespace retort::kernels::avx2 {

extern const Kernels kTable;
const Kernels kTable = avx2_table("avx2");

}  // namespace retort::kernels::avx2
