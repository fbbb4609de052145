// Floats: eight floats in an AVX2 register, as the templates of simd/ want them. Internal linkage: each including file
// is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

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
  void store_halves(uint16_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
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
  /// Lane i is the sum of the lanes of v[i], i < 8.
  static Floats sums(const Floats* v) {
    auto twos = [v](int i) {
      return _mm256_add_ps(_mm256_unpacklo_ps(v[i].v, v[i + 1].v), _mm256_unpackhi_ps(v[i].v, v[i + 1].v));
    };
    auto fours = [&](int i) {
      __m256 a = twos(i), b = twos(i + 2);
      return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xEE));
    };
    __m256 a = fours(0), b = fours(4);
    return Floats(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
  }
  friend Floats operator+(Floats a, Floats b) { return Floats(_mm256_add_ps(a.v, b.v)); }
  friend Floats operator-(Floats a, Floats b) { return Floats(_mm256_sub_ps(a.v, b.v)); }
  friend Floats operator*(Floats a, Floats b) { return Floats(_mm256_mul_ps(a.v, b.v)); }
  friend Floats operator/(Floats a, Floats b) { return Floats(_mm256_div_ps(a.v, b.v)); }
};

}  // namespace
