// How each quantized type is read for kLaneCount weight rows at once: lane r of a vector holds four consecutive quants
// of row r, the order that vpdpbusd wants, straight from the file's blocks, in registers. Rows lie `stride` bytes
// apart. Here are the types with blocks of 32, in columns_k.h the others. The including file includes the lanes.h of
// its instruction set first. Layouts: tensor/blocks.h.
//
// A reader is a struct with
//   kBlocks   blocks of 32 that one call of read() covers: 1, or the 8 of a super-block
//   kBytes    their size
//   kGroup    elements that share a scale: 32 or 16
//   kHasMin   value = d * q + m, q at most kMost; otherwise value = d * (q - 128 / 2^kShift)
//   read      calls, for each group in order of memory: sums.begin(group); sums.dot(group, k, q) with q the k-th vector
//             of the group's quants, in columns elements 4k .. 4k + 3; and sums.end(group, d), or sums.end(group, d,
//             m). Groups are counted from where the sums are, which sums.advance(blocks) moves on, in the end by
//             kBlocks. Sums::Order is how quants are put into vectors: Columns, or what has its members
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

RETORT_INLINE WordVector low_nibbles(WordVector v) {
  return both(v, all_bytes(15));
}
RETORT_INLINE WordVector high_nibbles(WordVector v) {
  return both(right(v, 4), all_bytes(15));
}

/// The upper halves of all lanes as floats.
RETORT_INLINE FloatVector high_halves(WordVector v) {
  return low_halves(right(v, 16));
}

/// The upper half of a, then the lower half of b: what lies two bytes into a.
RETORT_INLINE WordVector two_bytes_on(WordVector a, WordVector b) {
  return either(right(a, 16), left(b, 16));
}

/// The four columns of dwords in the 16 bytes at p of each row.
struct Columns {
  WordVector v[4];
  RETORT_INLINE Columns(const uint8_t* p, int64_t stride) {
    WordVector a = every_fourth_row(p, stride), b = every_fourth_row(p + stride, stride);
    WordVector c = every_fourth_row(p + 2 * stride, stride), d = every_fourth_row(p + 3 * stride, stride);
    WordVector ab = low_words(a, b), cd = low_words(c, d);
    v[0] = low_pairs(ab, cd);
    v[1] = high_pairs(ab, cd);
    ab = high_words(a, b), cd = high_words(c, d);
    v[2] = low_pairs(ab, cd);
    v[3] = high_pairs(ab, cd);
  }
  /// The quants of one token that meet the k-th vector of a group, of those at p.
  static RETORT_INLINE WordVector activations(const std::byte* p, int k) { return everywhere(p + 4 * k); }
  /// 32 bits of every row, one for each quant of a group.
  struct Bits {
    WordVector bits;
    /// kAt bytes into the sixteen at p.
    template <int kAt>
    static RETORT_INLINE Bits read(const uint8_t* p, int64_t stride) {
      if (kInsertsWords) return {row_words(p + kAt, stride)};
      Columns head(p, stride);
      return {kAt % 4 == 0 ? head.v[kAt / 4] : two_bytes_on(head.v[kAt / 4], head.v[kAt / 4 + 1])};
    }
    /// Adds `value` to every byte of q, the k-th vector, whose bit is set.
    RETORT_INLINE WordVector add(WordVector q, int k, int value) const {
      const WordVector which = all_words(k % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
      return more_where(q, spread_byte(bits, k / 2), which, value);
    }
  };
};

/// The sixteen values of IQ4, plus 128.
RETORT_INLINE WordVector iq4_columns(WordVector indices) {
  return look_up(_mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15), indices);
}

/// A block of 32 nibbles, the low ones first.
template <class Sums, class Map>
RETORT_INLINE void nibble_block(const uint8_t* p, int64_t stride, Sums& sums, Map map) {
  typename Sums::Order q(p, stride);
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) sums.dot(0, k, map(k, low_nibbles(q.v[k])));
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) sums.dot(0, 4 + k, map(4 + k, high_nibbles(q.v[k])));
}

struct ColumnsQ4_0 {
  static constexpr int kBlocks = 1, kBytes = 18, kGroup = 32, kShift = 4;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 2, stride, sums, [](int, WordVector q) { return q; });
    sums.end(0, row_halves(p, stride));
    sums.advance(1);
  }
};

struct ColumnsQ4_1 {
  static constexpr int kBlocks = 1, kBytes = 20, kGroup = 32, kShift = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 4, stride, sums, [](int, WordVector q) { return q; });
    FloatVector d, m;
    row_halves(p, stride, d, m);
    sums.end(0, d, m);
    sums.advance(1);
  }
};

struct ColumnsQ5_0 {
  static constexpr int kBlocks = 1, kBytes = 22, kGroup = 32, kShift = 3;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    auto bits = Sums::Order::Bits::template read<2>(p, stride);
    sums.begin(0);
    nibble_block(p + 6, stride, sums, [&](int k, WordVector q) { return bits.add(q, k, 16); });
    sums.end(0, row_halves(p, stride));
    sums.advance(1);
  }
};

struct ColumnsQ5_1 {
  static constexpr int kBlocks = 1, kBytes = 24, kGroup = 32, kShift = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    auto bits = Sums::Order::Bits::template read<4>(p, stride);
    FloatVector d, m;
    row_halves(p, stride, d, m);
    sums.begin(0);
    nibble_block(p + 8, stride, sums, [&](int k, WordVector q) { return bits.add(q, k, 16); });
    sums.end(0, d, m);
    sums.advance(1);
  }
};

struct ColumnsQ8_0 {
  static constexpr int kBlocks = 1, kBytes = 34, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      typename Sums::Order q(p + 2 + 16 * half, stride);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, 4 * half + k, differ(q.v[k], all_bytes(-128)));
    }
    sums.end(0, row_halves(p, stride));
    sums.advance(1);
  }
};

struct ColumnsIQ4_NL {
  static constexpr int kBlocks = 1, kBytes = 18, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    sums.begin(0);
    nibble_block(p + 2, stride, sums, [](int, WordVector q) { return iq4_columns(q); });
    sums.end(0, row_halves(p, stride));
    sums.advance(1);
  }
};

}  // namespace
