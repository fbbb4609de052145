// The table for processors with AVX-VNNI and without AVX-512 (Intel since 2021): 8-bit products straight into 32-bit
// sums.
#include <immintrin.h>

namespace {

/// Sums of four products u * s in each lane, exact for bytes of any size.
template <bool kWide>
inline __m256i dot_u8s8(__m256i sum, __m256i u, __m256i s) {
  return _mm256_dpbusd_avx_epi32(sum, u, s);
}

}  // namespace

#include "kernels/avx2/table.h"

namespace retort::kernels::avx2_vnni {

extern const Kernels kTable;
const Kernels kTable = avx2_table("avx2_vnni");

}  // namespace retort::kernels::avx2_vnni
