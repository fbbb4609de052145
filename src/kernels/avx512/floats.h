// Floats: sixteen floats in an AVX-512 register, as the templates of simd/ want them. Internal linkage: each including
// file is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

/// Sixteen floats.
struct Floats {
  static constexpr int kLanes = 16, kGemmVectors = 4;
  __m512 v;
  Floats() = default;
  explicit Floats(float x) : v(_mm512_set1_ps(x)) {}
  explicit Floats(__m512 x) : v(x) {}
  static __mmask16 first(int count) { return static_cast<__mmask16>((1u << count) - 1); }
  static Floats load(const float* p) { return Floats(_mm512_loadu_ps(p)); }
  static Floats load_first(const float* p, int count) { return Floats(_mm512_maskz_loadu_ps(first(count), p)); }
  static Floats load_halves(const uint16_t* p) {
    return Floats(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
  }
  static Floats load_bfloats(const uint16_t* p) {
    __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return Floats(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)));
  }
  void store_halves(uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_first(float* p, int count) const { _mm512_mask_storeu_ps(p, first(count), v); }
  static Floats fma(Floats a, Floats b, Floats c) { return Floats(_mm512_fmadd_ps(a.v, b.v, c.v)); }
  static Floats max(Floats a, Floats b) { return Floats(_mm512_max_ps(a.v, b.v)); }
  static Floats min(Floats a, Floats b) { return Floats(_mm512_min_ps(a.v, b.v)); }
  static Floats round(Floats a) {
    return Floats(_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static Floats power_of_two(Floats k) {
    __m512i bits = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(k.v), _mm512_set1_epi32(127)), 23);
    return Floats(_mm512_castsi512_ps(bits));
  }
  float sum() const { return _mm512_reduce_add_ps(v); }
  float largest() const { return _mm512_reduce_max_ps(v); }
  /// Lane i is what `join` (of two vectors, lane by lane) makes of all lanes of v[i], i < 16.
  template <class Join>
  static Floats joined(const Floats* v, Join join) {
    Floats pairs[8], fours[4], eights[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      pairs[i] = join(Floats(_mm512_unpacklo_ps(v[2 * i].v, v[2 * i + 1].v)),
                      Floats(_mm512_unpackhi_ps(v[2 * i].v, v[2 * i + 1].v)));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      __m512d a = _mm512_castps_pd(pairs[2 * i].v), b = _mm512_castps_pd(pairs[2 * i + 1].v);
      fours[i] =
          join(Floats(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b))), Floats(_mm512_castpd_ps(_mm512_unpackhi_pd(a, b))));
    }
    auto halves = [&](Floats a, Floats b) {
      return join(Floats(_mm512_shuffle_f32x4(a.v, b.v, 0x88)), Floats(_mm512_shuffle_f32x4(a.v, b.v, 0xdd)));
    };
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) eights[i] = halves(fours[2 * i], fours[2 * i + 1]);
    return halves(eights[0], eights[1]);
  }
  /// Lane i is the sum of the lanes of v[i], i < 16.
  static Floats sums(const Floats* v) {
    return joined(v, [](Floats a, Floats b) { return a + b; });
  }
  friend Floats operator+(Floats a, Floats b) {
    return Floats(_mm512_add_ps(a.v, b.v));
  }
  friend Floats operator-(Floats a, Floats b) {
    return Floats(_mm512_sub_ps(a.v, b.v));
  }
  friend Floats operator*(Floats a, Floats b) {
    return Floats(_mm512_mul_ps(a.v, b.v));
  }
  friend Floats operator/(Floats a, Floats b) {
    return Floats(_mm512_div_ps(a.v, b.v));
  }
};

}  // namespace
