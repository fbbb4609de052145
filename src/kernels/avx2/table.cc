// The AVX2 table: 8-bit products of 8 weight rows at a time through 16-bit sums, 256-bit floats with FMA.
#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/floats.h"
#include "kernels/avx2/quantize_rows.h"
#include "kernels/avx2/transpose.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

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

/// Tiles of 8 weight rows by up to 4 tokens.
struct Isa {
  using I = __m256i;
  using F = __m256;
  static constexpr int kRows = 8, kTokens = 4;
  static constexpr bool kStartsFromOffset = false, kFewTokensElsewhere = false;
  static F zero() { return _mm256_setzero_ps(); }
  static I zero_int() { return _mm256_setzero_si256(); }
  static I broadcast(const int32_t* p) { return _mm256_set1_epi32(*p); }
  static I load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  template <bool kWide>
  static I dot(I sum, I weights, const int8_t* four) {
    int32_t bytes;
    __builtin_memcpy(&bytes, four, 4);
    return dot_u8s8<kWide>(sum, weights, _mm256_set1_epi32(bytes));
  }
  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, const float* factor, F sum) { return _mm256_fmadd_ps(a, _mm256_set1_ps(*factor), sum); }

  /// rows[r] holds 8 dwords; vector j of `out` gets dword j of all 8 rows.
  static void store_transposed(const __m256i* rows, uint8_t* out) {
    __m256i a[8], b[8];
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
      b[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) {
        a[4 * i + 2 * j] = _mm256_unpacklo_epi64(b[4 * i + j], b[4 * i + 2 + j]);
        a[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(b[4 * i + j], b[4 * i + 2 + j]);
      }
    for (int k = 0; k < 4; ++k) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * k), _mm256_permute2x128_si256(a[k], a[4 + k], 0x20));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * (k + 4)),
                          _mm256_permute2x128_si256(a[k], a[4 + k], 0x31));
    }
  }
};

}  // namespace

#include "kernels/simd/attention.h"
#include "kernels/x86/linear.h"

namespace retort::kernels::avx2 {
namespace {

void store_kv(KvType type, const float* x, std::byte* out, int64_t n) {
  if (type != KvType::kF16)
    return quantize_row(type == KvType::kF32 ? tensor::DType::kF32 : tensor::DType::kQ8_0, x, out, n);
  auto* halves = reinterpret_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) halves[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT);
}

}  // namespace

extern const TrainingKernels kTraining;  // training.cc
extern const Kernels kTable;
const Kernels kTable = {
    .name = "avx2",
    .quantize_rows = quantize_rows,
    .linear = any_linear<Floats>,
    .linear_scratch_bytes = any_linear_scratch_bytes,
    .linear_row_grain = any_linear_row_grain,
    .attention = simd_attention<Floats>,
    .attention_scratch_bytes = simd_attention_scratch_bytes<Floats>,
    .store_kv = store_kv,
    .rms_norm = simd_rms_norm<Floats>,
    .rope = simd_rope<Floats>,
    .gated = simd_gated<Floats>,
    .add = simd_add<Floats>,
    .scale = simd_scale<Floats>,
    .dequantize_row = dequantize_row,
    .training = &kTraining,
};

}  // namespace retort::kernels::avx2
