// Sixteen 32-bit lanes of an AVX-512 register, as the templates of x86/ want them. Internal linkage: each
// including file is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define RETORT_INLINE inline __attribute__((always_inline))

namespace {

using WordVector = __m512i;
using FloatVector = __m512;
constexpr int kLaneCount = 16;
// Tokens whose sums fit the registers, by the size of a group.
constexpr int kMostTogether = 8, kMostTogetherOf16 = 8;
/// Whether row_words() costs less than the first of Columns.
constexpr bool kInsertsWords = false;

RETORT_INLINE WordVector all_bytes(int value) {
  return _mm512_set1_epi8(static_cast<char>(value));
}
RETORT_INLINE WordVector all_words(int value) {
  return _mm512_set1_epi32(value);
}
RETORT_INLINE WordVector both(WordVector a, WordVector b) {
  return _mm512_and_si512(a, b);
}
RETORT_INLINE WordVector either(WordVector a, WordVector b) {
  return _mm512_or_si512(a, b);
}
/// q | (h & mask).
RETORT_INLINE WordVector with_part(WordVector q, WordVector h, WordVector mask) {
  return _mm512_ternarylogic_epi32(q, h, mask, 0xf8);
}
RETORT_INLINE WordVector differ(WordVector a, WordVector b) {
  return _mm512_xor_si512(a, b);
}
RETORT_INLINE WordVector left(WordVector v, int bits) {
  return _mm512_slli_epi32(v, static_cast<unsigned>(bits));
}
RETORT_INLINE WordVector right(WordVector v, int bits) {
  return _mm512_srli_epi32(v, static_cast<unsigned>(bits));
}
RETORT_INLINE WordVector right_signed(WordVector v, int bits) {
  return _mm512_srai_epi32(v, static_cast<unsigned>(bits));
}
RETORT_INLINE WordVector minus(WordVector a, WordVector b) {
  return _mm512_sub_epi32(a, b);
}
/// `value` more in the bytes of q in which v has a bit of `bits`.
RETORT_INLINE WordVector more_where(WordVector q, WordVector v, WordVector bits, int value) {
  return _mm512_mask_add_epi8(q, _mm512_test_epi8_mask(v, bits), q, all_bytes(value));
}
/// Byte `index` of every lane, four times.
RETORT_INLINE WordVector spread_byte(WordVector v, int index) {
  const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
  return _mm512_shuffle_epi8(v, _mm512_add_epi32(_mm512_set1_epi32(index * 0x01010101), first));
}
/// Entry q of a table of sixteen, for every byte.
RETORT_INLINE WordVector look_up(__m128i table, WordVector q) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), q);
}

RETORT_INLINE FloatVector no_floats() {
  return _mm512_setzero_ps();
}
RETORT_INLINE FloatVector to_floats(WordVector v) {
  return _mm512_cvtepi32_ps(v);
}
/// The lower halves of all lanes as floats.
RETORT_INLINE FloatVector low_halves(WordVector v) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}
RETORT_INLINE FloatVector times(FloatVector a, FloatVector b) {
  return _mm512_mul_ps(a, b);
}
RETORT_INLINE FloatVector plus(FloatVector a, FloatVector b) {
  return _mm512_add_ps(a, b);
}
RETORT_INLINE FloatVector negative(FloatVector a) {
  return _mm512_sub_ps(_mm512_setzero_ps(), a);
}
RETORT_INLINE FloatVector times_plus(FloatVector a, FloatVector b, FloatVector c) {
  return _mm512_fmadd_ps(a, b, c);
}
RETORT_INLINE WordVector load_words(const void* p) {
  return _mm512_loadu_si512(p);
}
RETORT_INLINE FloatVector load_floats(const float* p) {
  return _mm512_loadu_ps(p);
}
/// All lanes but the first `skip`.
RETORT_INLINE void store_from(float* p, int64_t skip, FloatVector v) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(0xffffu << skip), v);
}
RETORT_INLINE FloatVector float_everywhere(const void* p) {
  float value;
  std::memcpy(&value, p, 4);
  return _mm512_set1_ps(value);
}
RETORT_INLINE WordVector everywhere(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm512_set1_epi32(value);
}

/// Sixteen bytes of each of rows i, i + 4, i + 8 and i + 12.
RETORT_INLINE WordVector every_fourth_row(const uint8_t* p, int64_t stride) {
  auto load = [](const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
  __m512i v = _mm512_castsi128_si512(load(p));
  v = _mm512_mask_broadcast_i32x4(v, 0x00f0, load(p + 4 * stride));
  v = _mm512_mask_broadcast_i32x4(v, 0x0f00, load(p + 8 * stride));
  return _mm512_mask_broadcast_i32x4(v, 0xf000, load(p + 12 * stride));
}
RETORT_INLINE WordVector low_words(WordVector a, WordVector b) {
  return _mm512_unpacklo_epi32(a, b);
}
RETORT_INLINE WordVector high_words(WordVector a, WordVector b) {
  return _mm512_unpackhi_epi32(a, b);
}
RETORT_INLINE WordVector low_pairs(WordVector a, WordVector b) {
  return _mm512_unpacklo_epi64(a, b);
}
RETORT_INLINE WordVector high_pairs(WordVector a, WordVector b) {
  return _mm512_unpackhi_epi64(a, b);
}

/// The four bytes at p of every row.
RETORT_INLINE WordVector row_words(const uint8_t* p, int64_t stride) {
  WordVector ab = low_words(every_fourth_row(p, stride), every_fourth_row(p + stride, stride));
  return low_pairs(ab, low_words(every_fourth_row(p + 2 * stride, stride), every_fourth_row(p + 3 * stride, stride)));
}

/// One token's sum of products with the quants of a group, one row a lane.
template <class T>
struct GroupSum {
  WordVector sum;
  static RETORT_INLINE WordVector prepare(WordVector quants) { return quants; }
  RETORT_INLINE void begin(const void* offset) {
    sum = T::kHasMin ? _mm512_setzero_si512() : right_signed(everywhere(offset), T::kShift);
  }
  RETORT_INLINE void add(int, WordVector quants, WordVector activations) {
    sum = _mm512_dpbusd_epi32(sum, quants, activations);
  }
};

// On a Zen 4 passing by the second level gained nothing; asking twice was not measured there.
constexpr bool kAsksTwice = false;
constexpr int64_t kPassingTileBytes = 0;

/// Asks for a line, into the second-level cache. Tied to a value, or the compiler gathers all requests of a block at
/// its beginning.
RETORT_INLINE void ask_for(const char* p, FloatVector& tie) {
  asm volatile("prefetcht1 %1" : "+v"(tie) : "m"(*p));
}
RETORT_INLINE void ask_for_passing(const char* p, FloatVector& tie) {
  ask_for(p, tie);
}

}  // namespace

#include "kernels/x86/row_halves.h"
