// The types with super-blocks of 256, read for kLaneCount weight rows at once: see columns.h.
#pragma once

#include "kernels/x86/columns.h"

namespace {

/// Byte i of every lane as a number.
RETORT_INLINE WordVector byte_of(WordVector v, int i) {
  return both(right(v, 8 * i), all_words(255));
}
RETORT_INLINE WordVector signed_byte_of(WordVector v, int i) {
  return right_signed(left(v, 24 - 8 * i), 24);
}

/// A number the compiler does not know, so that a loop stays one. Both halves of a super-block by four tokens are 15 KB
/// of instructions, and then ran up to three times slower, depending on where the program's pages lay in memory.
/// (GCC 12 writes out a loop of two even where a pragma asks for unroll 1.)
RETORT_INLINE int counted(int count) {
  asm("" : "+r"(count));
  return count;
}

struct ColumnsIQ4_XS {
  static constexpr int kBlocks = 8, kBytes = 136, kGroup = 32, kShift = 0;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns head(p, stride);
    FloatVector d = low_halves(head.v[0]);
    for (int b = 0; b < counted(8); ++b) {
      WordVector low = both(right(head.v[1], 4 * b), all_words(15));
      WordVector high = both(right(head.v[0], 16 + 2 * b), all_words(3));
      WordVector scale = minus(either(low, left(high, 4)), all_words(32));
      typename Sums::Order q(p + 8 + 16 * b, stride);
      sums.begin(0);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, k, iq4_columns(low_nibbles(q.v[k])));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, 4 + k, iq4_columns(high_nibbles(q.v[k])));
      sums.end(0, times(d, to_floats(scale)));
      sums.advance(1);
    }
  }
};

/// The eight scales and minima of Q4_K and Q5_K, kept in memory until their block is done.
struct K4Scales {
  FloatVector d[8], m[8];
  RETORT_INLINE K4Scales(const uint8_t* p, int64_t stride) {
    Columns head(p, stride);
    const WordVector six = all_bytes(0x3f), four = all_bytes(15), two = all_bytes(0x30);
    WordVector a = head.v[1], b = head.v[2], c = head.v[3];
    WordVector scales[2] = {both(a, six), either(both(c, four), both(right(a, 2), two))};
    WordVector mins[2] = {both(b, six), either(both(right(c, 4), four), both(right(b, 2), two))};
    FloatVector super_d = low_halves(head.v[0]), super_m = negative(high_halves(head.v[0]));
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      d[i] = times(super_d, to_floats(byte_of(scales[i / 4], i % 4)));
      m[i] = times(super_m, to_floats(byte_of(mins[i / 4], i % 4)));
    }
  }
};

struct ColumnsQ4_K {
  static constexpr int kBlocks = 8, kBytes = 144, kGroup = 32, kShift = 0, kMost = 15;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    K4Scales scales(p, stride);
#pragma GCC unroll 1
    for (int b = 0; b < 8; b += 2) {
      typename Sums::Order first(p + 16 + 16 * b, stride), second(p + 32 + 16 * b, stride);
      sums.begin(0);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, k, low_nibbles(first.v[k]));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(0, 4 + k, low_nibbles(second.v[k]));
      sums.end(0, scales.d[b], scales.m[b]);
      sums.begin(1);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(1, k, high_nibbles(first.v[k]));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums.dot(1, 4 + k, high_nibbles(second.v[k]));
      sums.end(1, scales.d[b + 1], scales.m[b + 1]);
      sums.advance(2);
    }
  }
};

struct ColumnsQ5_K {
  static constexpr int kBlocks = 8, kBytes = 176, kGroup = 32, kShift = 0, kMost = 31;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    K4Scales scales(p, stride);
    typename Sums::Order high[2] = {{p + 16, stride}, {p + 32, stride}};
#pragma GCC unroll 1
    for (int b = 0; b < 8; b += 2) {
      typename Sums::Order low[2] = {{p + 48 + 16 * b, stride}, {p + 64 + 16 * b, stride}};
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const WordVector bit = all_bytes(1 << (b + i));
        sums.begin(i);
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) {
          WordVector q = i == 0 ? low_nibbles(low[k / 4].v[k % 4]) : high_nibbles(low[k / 4].v[k % 4]);
          sums.dot(i, k, more_where(q, high[k / 4].v[k % 4], bit, 16));
        }
        sums.end(i, scales.d[b + i], scales.m[b + i]);
      }
      sums.advance(2);
    }
  }
};

struct ColumnsQ6_K {
  static constexpr int kBlocks = 8, kBytes = 210, kGroup = 16, kShift = 2;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    using Order = typename Sums::Order;
    Columns scales(p + 192, stride);
    FloatVector super = high_halves(Columns(p + 194, stride).v[3]);
    const WordVector mask = all_bytes(0x30);
    for (int half = 0; half < counted(2); ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        Order low(p + 64 * half + 16 * part, stride), more(p + 64 * half + 32 + 16 * part, stride);
        Order high(p + 128 + 32 * half + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          const int group = 2 * run + part;  // of the half
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) {
            WordVector q = run % 2 == 0 ? low.v[k] : more.v[k], h = high.v[k];
            q = run < 2 ? low_nibbles(q) : high_nibbles(q);
            h = run == 0 ? left(h, 4) : run == 1 ? left(h, 2) : run == 2 ? h : right(h, 2);
            sums.dot(group, k, with_part(q, h, mask));
          }
          WordVector scale = signed_byte_of(scales.v[2 * half + group / 4], group % 4);
          sums.end(group, times(super, to_floats(scale)));
        }
      }
      sums.advance(4);
    }
  }
};

struct ColumnsQ2_K {
  static constexpr int kBlocks = 8, kBytes = 84, kGroup = 16, kShift = 0, kMost = 3;
  static constexpr bool kHasMin = true;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns scales(p, stride);
    WordVector super = Columns(p + 68, stride).v[3];
    FloatVector d = low_halves(super), m = negative(high_halves(super));
    const WordVector three = all_bytes(3);
    for (int half = 0; half < counted(2); ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        typename Sums::Order pairs(p + 16 + 32 * half + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          const int group = 2 * run + part;  // of the half
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) sums.dot(group, k, both(right(pairs.v[k], 2 * run), three));
          WordVector packed = byte_of(scales.v[2 * half + group / 4], group % 4);
          sums.end(group, times(d, to_floats(both(packed, all_words(15)))), times(m, to_floats(right(packed, 4))));
        }
      }
      sums.advance(4);
    }
  }
};

struct ColumnsQ3_K {
  static constexpr int kBlocks = 8, kBytes = 110, kGroup = 16, kShift = 5;
  static constexpr bool kHasMin = false;
  template <class Sums>
  static RETORT_INLINE void read(const uint8_t* p, int64_t stride, Sums& sums) {
    Columns tail(p + 94, stride);  // two bytes of quants, 12 of scales, d
    FloatVector super = high_halves(tail.v[3]);
    WordVector a = two_bytes_on(tail.v[0], tail.v[1]), b = two_bytes_on(tail.v[1], tail.v[2]);
    WordVector c = two_bytes_on(tail.v[2], tail.v[3]);
    const WordVector four = all_bytes(15), two = all_bytes(0x30), three = all_bytes(3);
    auto join = [&](WordVector low, WordVector high) { return either(both(low, four), both(high, two)); };
    WordVector scales[4] = {join(a, left(c, 4)), join(b, left(c, 2)), join(right(a, 4), c),
                            join(right(b, 4), right(c, 2))};
    for (int half = 0; half < counted(2); ++half) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        typename Sums::Order pairs(p + 32 + 32 * half + 16 * part, stride), high(p + 16 * part, stride);
#pragma GCC unroll 4
        for (int run = 0; run < 4; ++run) {
          const int group = 2 * run + part;  // of the half
          const WordVector bit = all_bytes(1 << (4 * half + run));
          sums.begin(group);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) {
            WordVector q = both(right(pairs.v[k], 2 * run), three);
            sums.dot(group, k, more_where(q, high.v[k], bit, 4));
          }
          WordVector scale = minus(byte_of(scales[2 * half + group / 4], group % 4), all_words(32));
          sums.end(group, times(super, to_floats(scale)));
        }
      }
      sums.advance(4);
    }
  }
};

}  // namespace
