// Eight 32-bit lanes of an AVX2 register, as the templates of x86/ want them. Internal linkage: each
// including file is compiled with flags of its own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/x86/halves.h"

#define RETORT_INLINE inline __attribute__((always_inline))

namespace {

using WordVector = __m256i;
using FloatVector = __m256;
constexpr int kLaneCount = 8;
// Tokens whose sums fit the registers (totals need not), by the size of a group. With AVX-VNNI, eight were not
// measured.
#ifdef __AVXVNNI__
constexpr int kMostTogether = 4;
#else
constexpr int kMostTogether = 8;
#endif
constexpr int kMostTogetherOf16 = 4;
/// Whether row_words() costs less than the first of Columns.
constexpr bool kInsertsWords = true;

RETORT_INLINE WordVector all_bytes(int value) {
  return _mm256_set1_epi8(static_cast<char>(value));
}
RETORT_INLINE WordVector all_words(int value) {
  return _mm256_set1_epi32(value);
}
RETORT_INLINE WordVector both(WordVector a, WordVector b) {
  return _mm256_and_si256(a, b);
}
RETORT_INLINE WordVector either(WordVector a, WordVector b) {
  return _mm256_or_si256(a, b);
}
/// q | (h & mask).
RETORT_INLINE WordVector with_part(WordVector q, WordVector h, WordVector mask) {
  return _mm256_or_si256(q, _mm256_and_si256(h, mask));
}
RETORT_INLINE WordVector differ(WordVector a, WordVector b) {
  return _mm256_xor_si256(a, b);
}
RETORT_INLINE WordVector left(WordVector v, int bits) {
  return _mm256_slli_epi32(v, bits);
}
RETORT_INLINE WordVector right(WordVector v, int bits) {
  return _mm256_srli_epi32(v, bits);
}
RETORT_INLINE WordVector right_signed(WordVector v, int bits) {
  return _mm256_srai_epi32(v, bits);
}
RETORT_INLINE WordVector plus_words(WordVector a, WordVector b) {
  return _mm256_add_epi32(a, b);
}
RETORT_INLINE WordVector minus(WordVector a, WordVector b) {
  return _mm256_sub_epi32(a, b);
}
/// `value` more in the bytes of q in which v has the one bit of `bits`.
RETORT_INLINE WordVector more_where(WordVector q, WordVector v, WordVector bits, int value) {
  __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(v, bits), bits);
  return _mm256_add_epi8(q, _mm256_and_si256(set, all_bytes(value)));
}
/// Byte `index` of every lane, four times.
RETORT_INLINE WordVector spread_byte(WordVector v, int index) {
  const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
  return _mm256_shuffle_epi8(v, _mm256_add_epi32(_mm256_set1_epi32(index * 0x01010101), first));
}
/// Entry q of a table of sixteen, for every byte.
RETORT_INLINE WordVector look_up(__m128i table, WordVector q) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), q);
}

RETORT_INLINE FloatVector no_floats() {
  return _mm256_setzero_ps();
}
RETORT_INLINE FloatVector to_floats(WordVector v) {
  return _mm256_cvtepi32_ps(v);
}
/// The lower halves of all lanes as floats.
RETORT_INLINE FloatVector low_halves(WordVector v) {
  const __m256i low = _mm256_broadcastsi128_si256(_mm_setr_epi32(0x05040100, 0x0d0c0908, -1, -1));
  __m256i packed = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, low), 0x08);
  return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}
RETORT_INLINE FloatVector times(FloatVector a, FloatVector b) {
  return _mm256_mul_ps(a, b);
}
RETORT_INLINE FloatVector plus(FloatVector a, FloatVector b) {
  return _mm256_add_ps(a, b);
}
RETORT_INLINE FloatVector negative(FloatVector a) {
  return _mm256_sub_ps(_mm256_setzero_ps(), a);
}
RETORT_INLINE FloatVector times_plus(FloatVector a, FloatVector b, FloatVector c) {
  return _mm256_fmadd_ps(a, b, c);
}
RETORT_INLINE WordVector load_words(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
RETORT_INLINE FloatVector load_floats(const float* p) {
  return _mm256_loadu_ps(p);
}
/// All lanes but the first `skip`.
RETORT_INLINE void store_from(float* p, int64_t skip, FloatVector v) {
  if (skip == 0) return _mm256_storeu_ps(p, v);
  __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(static_cast<int>(skip) - 1)), v);
}
RETORT_INLINE FloatVector float_everywhere(const void* p) {
  float value;
  std::memcpy(&value, p, 4);
  return _mm256_set1_ps(value);
}
RETORT_INLINE WordVector everywhere(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm256_set1_epi32(value);
}

/// Sixteen bytes of each of rows i and i + 4. The latter are the upper half of a load that begins between the two rows:
/// inserting them would take the one port of a Zen 2 that shifts and converts, too.
RETORT_INLINE WordVector every_fourth_row(const uint8_t* p, int64_t stride) {
  __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_blend_epi32(_mm256_castsi128_si256(low), load_words(p + 4 * stride - 16), 0xf0);
}
RETORT_INLINE WordVector low_words(WordVector a, WordVector b) {
  return _mm256_unpacklo_epi32(a, b);
}
RETORT_INLINE WordVector high_words(WordVector a, WordVector b) {
  return _mm256_unpackhi_epi32(a, b);
}
RETORT_INLINE WordVector low_pairs(WordVector a, WordVector b) {
  return _mm256_unpacklo_epi64(a, b);
}
RETORT_INLINE WordVector high_pairs(WordVector a, WordVector b) {
  return _mm256_unpackhi_epi64(a, b);
}

#ifdef __AVXVNNI__
/// One token's sum of products with the quants of a group, one row a lane.
template <class T>
struct GroupSum {
  WordVector sum;
  static RETORT_INLINE WordVector prepare(WordVector quants) { return quants; }
  RETORT_INLINE void begin(const void* offset) {
    sum = T::kHasMin ? all_words(0) : right_signed(everywhere(offset), T::kShift);
  }
  RETORT_INLINE void add(int, WordVector quants, WordVector activations) {
    sum = _mm256_dpbusd_avx_epi32(sum, quants, activations);
  }
};
#else
/// What x86/pair_sum.h wants: see there.
RETORT_INLINE WordVector magnitudes(WordVector v) {
  return _mm256_abs_epi8(v);
}
RETORT_INLINE WordVector with_signs(WordVector v, WordVector signs) {
  return _mm256_sign_epi8(v, signs);
}
RETORT_INLINE WordVector pair_products(WordVector a, WordVector b) {
  return _mm256_maddubs_epi16(a, b);
}
RETORT_INLINE WordVector plus_shorts(WordVector a, WordVector b) {
  return _mm256_add_epi16(a, b);
}
RETORT_INLINE WordVector widen_pairs(WordVector v) {
  return _mm256_madd_epi16(v, _mm256_set1_epi16(1));
}
/// What x86/one_token.h wants: see there. Up to so many tokens are multiplied by rows where that is possible.
constexpr int kMostByRows = 1;
/// The sixteen bytes at p in each half.
RETORT_INLINE WordVector sixteen_everywhere(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
/// Of each sixteen bytes, byte `first` eight times, then the next one eight times.
RETORT_INLINE WordVector two_bytes_spread(WordVector v, int first) {
  const long long low = first * 0x0101010101010101LL;
  return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_set_epi64x(low + 0x0101010101010101LL, low)));
}
/// Words 0 and 2, or 1 and 3, of each half of a, then those of b.
RETORT_INLINE WordVector even_words(WordVector a, WordVector b) {
  return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
}
RETORT_INLINE WordVector odd_words(WordVector a, WordVector b) {
  return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
}
#endif

/// The four bytes at p of every row.
RETORT_INLINE WordVector row_words(const uint8_t* p, int64_t stride) {
  auto four = [&](const uint8_t* at) { return words_at(at, at + stride, at + 2 * stride, at + 3 * stride); };
  return _mm256_set_m128i(four(p + 4 * stride), four(p));
}
/// The half at p of every row.
RETORT_INLINE FloatVector row_halves(const uint8_t* p, int64_t stride) {
  return eight_halves(p, stride);
}
/// The two halves at p of every row.
RETORT_INLINE void row_halves(const uint8_t* p, int64_t stride, FloatVector& first, FloatVector& second) {
  eight_pairs(p, stride, first, second);
}

/// A Zen 2 drops requests that find no room in the queue of outstanding lines (it takes 132 GB/s of them). So a line is
/// asked for twice: two tiles ahead, and one.
constexpr bool kAsksTwice = true;
/// Up to this size the next tile may pass by the second-level cache. A larger one would leave the first before its
/// turn.
constexpr int64_t kPassingTileBytes = 12288;

/// Asks for a line, into the second-level cache. Tied to a value, or the compiler gathers all requests of a block at
/// its beginning.
RETORT_INLINE void ask_for(const char* p, FloatVector& tie) {
  asm volatile("prefetcht1 %1" : "+x"(tie) : "m"(*p));
}
/// The same, into the first-level cache alone.
RETORT_INLINE void ask_for_passing(const char* p, FloatVector& tie) {
  asm volatile("prefetchnta %1" : "+x"(tie) : "m"(*p));
}

}  // namespace

#ifndef __AVXVNNI__
#include "kernels/x86/pair_sum.h"
#endif
