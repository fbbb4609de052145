// GroupSum (x86/few_tokens.h, x86/tile.h) where there is no instruction that adds four products of bytes in 32 bits:
// pmaddubsw adds two of them in 16. Small quants leave room to add several such pairs before they are widened: all
// eight of a block of nibbles. Quants of eight bits leave none, and are multiplied by their magnitude. The lanes.h that
// ends with this file has
//   magnitudes(v), with_signs(v, signs)   of signed bytes: |v|; v, -v or 0 as signs is positive, negative or 0
//   pair_products(a, b)                   of unsigned by signed bytes, sums of two in 16 bits
//   plus_shorts(a, b), widen_pairs(v)     sums of 16-bit numbers; of each two of them in 32 bits
#pragma once

#include <algorithm>

namespace {

/// Has `v` computed here. GCC takes a sum of vectors for an expression to be computed where its value is wanted, at the
/// end of a group, and keeps every product of the group on the stack until then.
RETORT_INLINE void settle(WordVector& v) {
  asm("" : "+x"(v));
}

/// One token's sum of products with the quants of a group, one row a lane.
template <class T>
struct GroupSum {
  static constexpr int kLargest = [] {
    if constexpr (T::kHasMin) return T::kMost;
    return 255 >> T::kShift;
  }();
  static constexpr bool kWide = kLargest == 255;
  static constexpr int kChain = kWide ? 1 : std::min(T::kGroup / 4, 32767 / (2 * 127 * kLargest));
  struct Quants {
    WordVector magnitude, sign;
  };
  WordVector sum, pairs;

  static RETORT_INLINE Quants prepare(WordVector quants) {
    if constexpr (!kWide) return {quants, quants};
    WordVector sign = differ(quants, all_bytes(-128));
    return {magnitudes(sign), sign};
  }
  RETORT_INLINE void begin(const void* offset) {
    sum = T::kHasMin || kWide ? all_words(0) : right_signed(everywhere(offset), T::kShift);
  }
  RETORT_INLINE void add(int k, const Quants& quants, WordVector activations) {
    if constexpr (kWide) activations = with_signs(activations, quants.sign);
    WordVector two = pair_products(quants.magnitude, activations);
    pairs = k % kChain == 0 ? two : plus_shorts(pairs, two);
    settle(pairs);
    if ((k + 1) % kChain == 0) {
      sum = plus_words(sum, widen_pairs(pairs));
      settle(sum);
    }
  }
};

}  // namespace
