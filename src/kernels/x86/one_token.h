// Products with one token (or two: kMostByRows) where there is no instruction that adds four products of bytes in 32
// bits (see pair_sum.h). What an unpacked vector costs is not shared between tokens then, and bringing quants into
// columns is half of it. So vectors hold sixteen quants of a row, or of two rows, as the file has them; products are
// added within a row at the end of a group, in a tree, which also leaves the processor less to wait for. The sums are
// the same integers.
#pragma once

#include "kernels/x86/few_tokens.h"

namespace {

/// The sixteen bytes at p of each row: vector i holds those of row i (and, eight lanes wide, of row i + 4).
struct Rows {
  WordVector v[4];
  RETORT_INLINE Rows(const uint8_t* p, int64_t stride) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[i] = every_fourth_row(p + i * stride, stride);
  }
  static RETORT_INLINE WordVector activations(const std::byte* p, int k) {
    return sixteen_everywhere(p + k / 4 * 16);
  }

  struct Bits {
    WordVector bits[2][4];  // of each half of a group and row: the byte with a quant's bit, in its place
    template <int kAt>
    static RETORT_INLINE Bits read(const uint8_t* p, int64_t stride) {
      Rows head(p, stride);
      Bits out;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        out.bits[0][i] = two_bytes_spread(head.v[i], kAt);
        out.bits[1][i] = two_bytes_spread(head.v[i], kAt + 2);
      }
      return out;
    }
    RETORT_INLINE WordVector add(WordVector q, int k, int value) const {
      return more_where(q, bits[k / 4][k % 4], sixteen_everywhere(kBitOfByte), value);
    }
    static constexpr uint8_t kBitOfByte[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  };
};

/// One token's sum of products with the quants of a group, one row a lane.
template <class T>
struct RowSum {
  static constexpr int kLargest = GroupSum<T>::kLargest;
  static constexpr int kSteps = T::kGroup / 4;
  /// Products that may be added in 16 bits.
  static constexpr int kMost = 32767 / (127 * kLargest);
  /// After the first step of the tree; after the second.
  static constexpr bool kFits = T::kGroup / 4 <= kMost, kFitsTwice = T::kGroup / 2 <= kMost;
  WordVector sum, pairs[4];

  static RETORT_INLINE WordVector prepare(WordVector quants) { return quants; }
  RETORT_INLINE void begin(const void* offset) {
    sum = T::kHasMin ? all_words(0) : right_signed(everywhere(offset), T::kShift);
  }
  RETORT_INLINE void add(int k, WordVector quants, WordVector activations) {
    WordVector two = pair_products(quants, activations);
    pairs[k % 4] = k < 4 ? two : plus_shorts(pairs[k % 4], two);
    settle(pairs[k % 4]);
    if (k + 1 == kSteps) sum = plus_words(sum, rows());
  }

 private:
  /// Of a and b, eight sums in 16 bits each a row: four a row.
  static RETORT_INLINE WordVector halve(WordVector a, WordVector b) {
    return plus_shorts(low_pairs(a, b), high_pairs(a, b));
  }
  RETORT_INLINE WordVector rows() const {
    WordVector ab = halve(pairs[0], pairs[1]), cd = halve(pairs[2], pairs[3]);
    if constexpr (kFitsTwice) return widen_pairs(plus_shorts(even_words(ab, cd), odd_words(ab, cd)));
    ab = widen_pairs(ab), cd = widen_pairs(cd);
    return plus_words(even_words(ab, cd), odd_words(ab, cd));
  }
};

template <class T, int M>
requires(M <= kMostByRows && RowSum<T>::kFits) struct SumsOf<T, M> {
  using Group = RowSum<T>;
  using Order = Rows;
};

}  // namespace
