// Stands in for the compiler's arm_neon.h where NEON kernels are compiled for an x86 processor with AVX2 and FMA (CMake
// option RETORT_NEON_ON_X86): SIMDe 0.7.4 or later, and what it lacks or computes otherwise than an ARM processor does.
// With both, a model's logits are those of the cross-compiled program under qemu, bit for bit, and come in
// minutes instead of hours.
//
// What instructions compute: Arm Architecture Reference Manual (DDI 0487), shared/functions/float/bfloat for FEAT_BF16.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>

#include <cstdint>

using __fp16 = _Float16;

namespace {

// Added in pairs, or fused, where SIMDe's are not.
#undef vaddvq_f32
inline float vaddvq_f32(float32x4_t a) {
  return (a[0] + a[1]) + (a[2] + a[3]);
}
#undef vfmaq_laneq_f32
#define vfmaq_laneq_f32(a, b, v, lane) vfmaq_f32((a), (b), vdupq_n_f32((v)[lane]))

// Missing in SIMDe 0.7.4.
#undef vdivq_f32
inline float32x4_t vdivq_f32(float32x4_t a, float32x4_t b) {
  return a / b;
}
#undef vmaxnmvq_f32
inline float vmaxnmvq_f32(float32x4_t a) {
  float most = a[0];
  for (int i = 1; i < 4; ++i)
    if (!(a[i] <= most)) most = a[i] == a[i] ? a[i] : most;  // the number, where one of them is NaN
  return most;
}

// NaN becomes 0 and what is too large the largest.
#undef vcvtnq_s32_f32
inline int32x4_t vcvtnq_s32_f32(float32x4_t a) {
  auto x = reinterpret_cast<__m128>(a);
  __m128i rounded = _mm_cvtps_epi32(x);
  __m128i too_large = _mm_castps_si128(_mm_cmpge_ps(x, _mm_set1_ps(2147483648.0f)));
  __m128i number = _mm_castps_si128(_mm_cmpord_ps(x, x));
  return reinterpret_cast<int32x4_t>(_mm_and_si128(_mm_xor_si128(rounded, too_large), number));
}

// FEAT_DotProd and FEAT_I8MM: the same in fewer instructions than the compiler finds.
namespace neon_on_x86 {
inline __m128i low_half(__m128i bytes) {
  return _mm_cvtepi8_epi16(bytes);
}
inline __m128i high_half(__m128i bytes) {
  return _mm_cvtepi8_epi16(_mm_srli_si128(bytes, 8));
}
}  // namespace neon_on_x86

#undef vdotq_s32
inline int32x4_t vdotq_s32(int32x4_t sum, int8x16_t a, int8x16_t b) {
  using namespace neon_on_x86;
  auto x = reinterpret_cast<__m128i>(a), y = reinterpret_cast<__m128i>(b);
  __m128i low = _mm_madd_epi16(low_half(x), low_half(y)), high = _mm_madd_epi16(high_half(x), high_half(y));
  return sum + reinterpret_cast<int32x4_t>(_mm_hadd_epi32(low, high));
}
#undef vdotq_laneq_s32
#define vdotq_laneq_s32(sum, a, b, lane) \
  vdotq_s32((sum), (a), reinterpret_cast<int8x16_t>(_mm_shuffle_epi32(reinterpret_cast<__m128i>(b), (lane)*0x55)))

#undef vmmlaq_s32
inline int32x4_t vmmlaq_s32(int32x4_t sum, int8x16_t a, int8x16_t b) {
  using namespace neon_on_x86;
  auto x = reinterpret_cast<__m128i>(a), y = reinterpret_cast<__m128i>(b);
  auto row = [&](__m128i half) {
    return _mm_hadd_epi32(_mm_madd_epi16(half, low_half(y)), _mm_madd_epi16(half, high_half(y)));
  };
  return sum + reinterpret_cast<int32x4_t>(_mm_hadd_epi32(row(low_half(x)), row(high_half(x))));
}

// FEAT_BF16 without FEAT_EBF16: products and sums are rounded to odd, and what is below the smallest normal number is
// 0.
namespace neon_on_x86 {
using Floats4 __attribute__((vector_size(16))) = float;
using Words4 __attribute__((vector_size(16))) = uint32_t;
using Bfloats4 __attribute__((vector_size(8))) = uint16_t;
using Bfloats8 __attribute__((vector_size(16))) = uint16_t;
using Doubles4 __attribute__((vector_size(32))) = double;
using Masks4 __attribute__((vector_size(32))) = int64_t;

inline Floats4 flushed(Floats4 x) {
  auto bits = reinterpret_cast<Words4>(x);
  Words4 sign = bits & 0x80000000u, magnitude = bits & 0x7fffffffu;
  return reinterpret_cast<Floats4>(sign | (magnitude & reinterpret_cast<Words4>(magnitude >= 0x00800000u)));
}

/// a + b, cut to 24 digits, of which the last is 1 when anything was cut off.
inline Floats4 odd_sum(Floats4 a, Floats4 b) {
  auto x = __builtin_convertvector(a, Doubles4), y = __builtin_convertvector(b, Doubles4);
  Doubles4 sum = x + y, from_y = sum - x, error = (x - (sum - from_y)) + (y - from_y);
  Masks4 inexact = error != 0, away = inexact & ((error < 0) == (sum > 0));
  sum = reinterpret_cast<Doubles4>((reinterpret_cast<Masks4>(sum) + away) | (inexact & 1));  // away: -1
  auto rounded = __builtin_convertvector(sum, Floats4);
  auto back = __builtin_convertvector(rounded, Doubles4);
  inexact = (back != sum) & (back - back == 0);
  away = inexact & ((back > sum) == (sum > 0));
  Words4 bits = reinterpret_cast<Words4>(rounded) + __builtin_convertvector(away, Words4);
  return flushed(reinterpret_cast<Floats4>(bits | __builtin_convertvector(inexact & 1, Words4)));
}
}  // namespace neon_on_x86

#undef bfloat16x4_t
#undef bfloat16x8_t
#define bfloat16x4_t neon_on_x86::Bfloats4
#define bfloat16x8_t neon_on_x86::Bfloats8
#undef vreinterpret_u16_bf16
#undef vreinterpretq_bf16_u32
#define vreinterpret_u16_bf16(a) reinterpret_cast<uint16x4_t>(a)
#define vreinterpretq_bf16_u32(a) reinterpret_cast<bfloat16x8_t>(a)

#undef vcvt_bf16_f32
inline bfloat16x4_t vcvt_bf16_f32(float32x4_t a) {
  using namespace neon_on_x86;
  auto bits = reinterpret_cast<Words4>(a);
  Words4 nearest = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
  auto is_nan = reinterpret_cast<Words4>(a != a);
  return __builtin_convertvector(((nearest & ~is_nan) | (quiet & is_nan)) >> 16, Bfloats4);
}
#undef vbfdotq_f32
inline float32x4_t vbfdotq_f32(float32x4_t sum, bfloat16x8_t a, bfloat16x8_t b) {
  using namespace neon_on_x86;
  auto x = reinterpret_cast<Words4>(a), y = reinterpret_cast<Words4>(b);
  auto product = [](Words4 left, Words4 right) {
    return flushed(flushed(reinterpret_cast<Floats4>(left)) * flushed(reinterpret_cast<Floats4>(right)));
  };
  Floats4 even = product(x << 16, y << 16), odd = product(x & 0xffff0000u, y & 0xffff0000u);
  return odd_sum(flushed(sum), odd_sum(even, odd));
}

}  // namespace
