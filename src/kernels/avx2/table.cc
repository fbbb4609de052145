// The AVX2 table: 8-bit products of 8 weight rows at a time through 16-bit sums, 256-bit floats with FMA.
#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/quantize.h"

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

/// Eight floats.
struct Floats {
  static constexpr int kLanes = 8, kGemmVectors = 2;
  __m256 v;
  Floats() = default;
  explicit Floats(float x) : v(_mm256_set1_ps(x)) {}
  explicit Floats(__m256 x) : v(x) {}
  static __m256i first(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Floats load(const float* p) { return Floats(_mm256_loadu_ps(p)); }
  static Floats load_first(const float* p, int count) { return Floats(_mm256_maskload_ps(p, first(count))); }
  static Floats load_halves(const uint16_t* p) {
    return Floats(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Floats load_bfloats(const uint16_t* p) {
    __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return Floats(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_first(float* p, int count) const { _mm256_maskstore_ps(p, first(count), v); }
  static Floats fma(Floats a, Floats b, Floats c) { return Floats(_mm256_fmadd_ps(a.v, b.v, c.v)); }
  static Floats max(Floats a, Floats b) { return Floats(_mm256_max_ps(a.v, b.v)); }
  static Floats min(Floats a, Floats b) { return Floats(_mm256_min_ps(a.v, b.v)); }
  static Floats round(Floats a) { return Floats(_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }
  static Floats power_of_two(Floats k) {
    __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k.v), _mm256_set1_epi32(127)), 23);
    return Floats(_mm256_castsi256_ps(bits));
  }
  float sum() const {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
  }
  float largest() const {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
  }
  friend Floats operator+(Floats a, Floats b) { return Floats(_mm256_add_ps(a.v, b.v)); }
  friend Floats operator-(Floats a, Floats b) { return Floats(_mm256_sub_ps(a.v, b.v)); }
  friend Floats operator*(Floats a, Floats b) { return Floats(_mm256_mul_ps(a.v, b.v)); }
  friend Floats operator/(Floats a, Floats b) { return Floats(_mm256_div_ps(a.v, b.v)); }
};

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
};

}  // namespace retort::kernels::avx2
