// Four floats in an SSE register, as the templates of simd/ want them. SSE4.1 has neither fused multiply-adds nor
// conversions of half floats. Internal linkage: each including file is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

/// Half floats, one in the lower half of each lane, the upper being 0. Multiplying by 2^112 brings the exponent to that
/// of a float, for subnormal numbers, too.
inline __m128 halves_to_floats(__m128i halves) {
  __m128i magnitude = _mm_and_si128(halves, _mm_set1_epi32(0x7fff));
  __m128i sign = _mm_slli_epi32(_mm_xor_si128(halves, magnitude), 16);
  __m128 value = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
  __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff)), _mm_set1_epi32(0x7f800000));
  return _mm_or_ps(value, _mm_castsi128_ps(_mm_or_si128(sign, special)));
}

/// The other way round, to nearest even.
inline __m128i floats_to_halves(__m128 v) {
  __m128i bits = _mm_castps_si128(v), magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
  __m128i odd = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
  __m128i rounded = _mm_add_epi32(_mm_add_epi32(magnitude, odd), _mm_set1_epi32(0xfff - 0x38000000));
  __m128i halves = _mm_srli_epi32(rounded, 13);
  // A float of at least 0.5 ends where a subnormal half does: the addition rounds.
  __m128i half = _mm_set1_epi32(0x3f000000);
  __m128i small = _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(magnitude), _mm_castsi128_ps(half)));
  __m128i is_small = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x38800000));
  halves = _mm_blendv_epi8(halves, _mm_sub_epi32(small, half), is_small);
  halves = _mm_blendv_epi8(halves, _mm_set1_epi32(0x7c00), _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fffff)));
  halves = _mm_blendv_epi8(halves, _mm_set1_epi32(0x7e00), _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000)));
  return _mm_or_si128(halves, _mm_srli_epi32(_mm_xor_si128(bits, magnitude), 16));
}

inline float half_to_float(uint16_t half) {
  return _mm_cvtss_f32(halves_to_floats(_mm_cvtsi32_si128(half)));
}

struct Floats {
  static constexpr int kLanes = 4, kGemmVectors = 2;
  __m128 v;
  Floats() = default;
  explicit Floats(float x) : v(_mm_set1_ps(x)) {}
  explicit Floats(__m128 x) : v(x) {}
  static __m128i load_shorts(const uint16_t* p) {
    return _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Floats load(const float* p) { return Floats(_mm_loadu_ps(p)); }
  static Floats load_first(const float* p, int count) {
    float lanes[4] = {};
    for (int i = 0; i < count; ++i) lanes[i] = p[i];
    return load(lanes);
  }
  static Floats load_halves(const uint16_t* p) { return Floats(halves_to_floats(load_shorts(p))); }
  static Floats load_bfloats(const uint16_t* p) { return Floats(_mm_castsi128_ps(_mm_slli_epi32(load_shorts(p), 16))); }
  void store_halves(uint16_t* p) const {
    __m128i halves = floats_to_halves(v);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(halves, halves));
  }
  void store(float* p) const { _mm_storeu_ps(p, v); }
  void store_first(float* p, int count) const {
    float lanes[4];
    store(lanes);
    for (int i = 0; i < count; ++i) p[i] = lanes[i];
  }
  static Floats fma(Floats a, Floats b, Floats c) { return Floats(_mm_add_ps(_mm_mul_ps(a.v, b.v), c.v)); }
  static Floats max(Floats a, Floats b) { return Floats(_mm_max_ps(a.v, b.v)); }
  static Floats min(Floats a, Floats b) { return Floats(_mm_min_ps(a.v, b.v)); }
  static Floats round(Floats a) { return Floats(_mm_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }
  static Floats power_of_two(Floats k) {
    return Floats(_mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(k.v), _mm_set1_epi32(127)), 23)));
  }
  float sum() const {
    __m128 s = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
  }
  float largest() const {
    __m128 s = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
  }
  /// Lane i is the sum of the lanes of v[i], i < 4.
  static Floats sums(const Floats* v) {
    __m128 a = _mm_add_ps(_mm_unpacklo_ps(v[0].v, v[1].v), _mm_unpackhi_ps(v[0].v, v[1].v));
    __m128 b = _mm_add_ps(_mm_unpacklo_ps(v[2].v, v[3].v), _mm_unpackhi_ps(v[2].v, v[3].v));
    return Floats(_mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a)));
  }
  friend Floats operator+(Floats a, Floats b) { return Floats(_mm_add_ps(a.v, b.v)); }
  friend Floats operator-(Floats a, Floats b) { return Floats(_mm_sub_ps(a.v, b.v)); }
  friend Floats operator*(Floats a, Floats b) { return Floats(_mm_mul_ps(a.v, b.v)); }
  friend Floats operator/(Floats a, Floats b) { return Floats(_mm_div_ps(a.v, b.v)); }
};

}  // namespace
