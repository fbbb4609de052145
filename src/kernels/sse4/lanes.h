// Four 32-bit lanes of an SSE register, as the templates of x86/ want them. SSE4.1. Internal linkage: each including
// file is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/sse4/floats.h"
#include "kernels/x86/words.h"

#define RETORT_INLINE inline __attribute__((always_inline))

namespace {

using WordVector = __m128i;
using FloatVector = __m128;
constexpr int kLaneCount = 4;
// Tokens whose sums fit the registers, by the size of a group.
constexpr int kMostTogether = 8, kMostTogetherOf16 = 4;
/// Up to so many tokens are multiplied by rows (x86/one_token.h) where that is possible.
constexpr int kMostByRows = 2;
/// Whether row_words() costs less than the first of Columns.
constexpr bool kInsertsWords = true;

RETORT_INLINE WordVector all_bytes(int value) {
  return _mm_set1_epi8(static_cast<char>(value));
}
RETORT_INLINE WordVector all_words(int value) {
  return _mm_set1_epi32(value);
}
RETORT_INLINE WordVector both(WordVector a, WordVector b) {
  return _mm_and_si128(a, b);
}
RETORT_INLINE WordVector either(WordVector a, WordVector b) {
  return _mm_or_si128(a, b);
}
/// q | (h & mask).
RETORT_INLINE WordVector with_part(WordVector q, WordVector h, WordVector mask) {
  return _mm_or_si128(q, _mm_and_si128(h, mask));
}
RETORT_INLINE WordVector differ(WordVector a, WordVector b) {
  return _mm_xor_si128(a, b);
}
RETORT_INLINE WordVector left(WordVector v, int bits) {
  return _mm_slli_epi32(v, bits);
}
RETORT_INLINE WordVector right(WordVector v, int bits) {
  return _mm_srli_epi32(v, bits);
}
RETORT_INLINE WordVector right_signed(WordVector v, int bits) {
  return _mm_srai_epi32(v, bits);
}
RETORT_INLINE WordVector plus_words(WordVector a, WordVector b) {
  return _mm_add_epi32(a, b);
}
RETORT_INLINE WordVector minus(WordVector a, WordVector b) {
  return _mm_sub_epi32(a, b);
}
/// `value` more in the bytes of q in which v has the one bit of `bits`.
RETORT_INLINE WordVector more_where(WordVector q, WordVector v, WordVector bits, int value) {
  __m128i set = _mm_cmpeq_epi8(_mm_and_si128(v, bits), bits);
  return _mm_add_epi8(q, _mm_and_si128(set, all_bytes(value)));
}
/// Byte `index` of every lane, four times.
RETORT_INLINE WordVector spread_byte(WordVector v, int index) {
  const __m128i first = _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  return _mm_shuffle_epi8(v, _mm_add_epi32(_mm_set1_epi32(index * 0x01010101), first));
}
/// Entry q of a table of sixteen, for every byte.
RETORT_INLINE WordVector look_up(__m128i table, WordVector q) {
  return _mm_shuffle_epi8(table, q);
}

RETORT_INLINE FloatVector no_floats() {
  return _mm_setzero_ps();
}
RETORT_INLINE FloatVector to_floats(WordVector v) {
  return _mm_cvtepi32_ps(v);
}
/// The lower halves of all lanes as floats.
RETORT_INLINE FloatVector low_halves(WordVector v) {
  return halves_to_floats(_mm_and_si128(v, all_words(0xffff)));
}
RETORT_INLINE FloatVector times(FloatVector a, FloatVector b) {
  return _mm_mul_ps(a, b);
}
RETORT_INLINE FloatVector plus(FloatVector a, FloatVector b) {
  return _mm_add_ps(a, b);
}
RETORT_INLINE FloatVector negative(FloatVector a) {
  return _mm_sub_ps(_mm_setzero_ps(), a);
}
RETORT_INLINE FloatVector times_plus(FloatVector a, FloatVector b, FloatVector c) {
  return _mm_add_ps(_mm_mul_ps(a, b), c);
}
RETORT_INLINE FloatVector load_floats(const float* p) {
  return _mm_loadu_ps(p);
}
/// All lanes but the first `skip`.
RETORT_INLINE void store_from(float* p, int64_t skip, FloatVector v) {
  if (skip == 0) return _mm_storeu_ps(p, v);
  float lanes[4];
  _mm_storeu_ps(lanes, v);
  for (int64_t i = skip; i < 4; ++i) p[i] = lanes[i];
}
RETORT_INLINE FloatVector float_everywhere(const void* p) {
  float value;
  std::memcpy(&value, p, 4);
  return _mm_set1_ps(value);
}
RETORT_INLINE WordVector everywhere(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm_set1_epi32(value);
}

/// Sixteen bytes of row i, of which there is one.
RETORT_INLINE WordVector every_fourth_row(const uint8_t* p, int64_t) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
RETORT_INLINE WordVector low_words(WordVector a, WordVector b) {
  return _mm_unpacklo_epi32(a, b);
}
RETORT_INLINE WordVector high_words(WordVector a, WordVector b) {
  return _mm_unpackhi_epi32(a, b);
}
RETORT_INLINE WordVector low_pairs(WordVector a, WordVector b) {
  return _mm_unpacklo_epi64(a, b);
}
RETORT_INLINE WordVector high_pairs(WordVector a, WordVector b) {
  return _mm_unpackhi_epi64(a, b);
}

/// The four bytes at p of every row.
RETORT_INLINE WordVector row_words(const uint8_t* p, int64_t stride) {
  return words_at(p, p + stride, p + 2 * stride, p + 3 * stride);
}

/// What x86/pair_sum.h wants: see there.
RETORT_INLINE WordVector magnitudes(WordVector v) {
  return _mm_abs_epi8(v);
}
RETORT_INLINE WordVector with_signs(WordVector v, WordVector signs) {
  return _mm_sign_epi8(v, signs);
}
RETORT_INLINE WordVector pair_products(WordVector a, WordVector b) {
  return _mm_maddubs_epi16(a, b);
}
RETORT_INLINE WordVector plus_shorts(WordVector a, WordVector b) {
  return _mm_add_epi16(a, b);
}
RETORT_INLINE WordVector widen_pairs(WordVector v) {
  return _mm_madd_epi16(v, _mm_set1_epi16(1));
}
/// What x86/one_token.h wants: see there. The sixteen bytes at p.
RETORT_INLINE WordVector sixteen_everywhere(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
/// Byte `first` eight times, then the next one eight times.
RETORT_INLINE WordVector two_bytes_spread(WordVector v, int first) {
  const long long low = first * 0x0101010101010101LL;
  return _mm_shuffle_epi8(v, _mm_set_epi64x(low + 0x0101010101010101LL, low));
}
/// Words 0 and 2, or 1 and 3, of a, then those of b.
RETORT_INLINE WordVector even_words(WordVector a, WordVector b) {
  return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), 0x88));
}
RETORT_INLINE WordVector odd_words(WordVector a, WordVector b) {
  return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), 0xdd));
}

constexpr bool kAsksTwice = false;
constexpr int64_t kPassingTileBytes = 0;

/// Asks for a line, into the second-level cache. Tied to a value, or the compiler gathers all requests of a block at
/// its beginning.
RETORT_INLINE void ask_for(const char* p, FloatVector& tie) {
  asm volatile("prefetcht1 %1" : "+x"(tie) : "m"(*p));
}
RETORT_INLINE void ask_for_passing(const char* p, FloatVector& tie) {
  ask_for(p, tie);
}

}  // namespace

#include "kernels/x86/pair_sum.h"
#include "kernels/x86/row_halves.h"
