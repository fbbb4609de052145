// Products of quantized weights with many tokens (prompts, training): tiles of up to 32 weight rows are brought to
// eight bits with one scale per row and 128 elements, once, and then multiplied with all tokens. With the file's own
// scales, each block of 32 would cost a multiplication, an addition and, in types with a minimum, another addition
// beside its eight dot products; this way it is the one that brings in the token's scale. The bound is the dot
// products' rate, 8 of 9.25 instructions.
//
// What it costs in accuracy: each weight is rounded once more, by at most half of 1/127 of the largest magnitude that
// the scales of its 128 neighbours allow (and 1/16 of that for the fixed-point factor). Types whose own steps are as
// fine as that (Q8_0, IQ4) are not treated so.
#pragma once

#include "kernels/avx512/lanes.h"
#include "kernels/kernels.h"
#include "kernels/x86/columns.h"

namespace retort::kernels::avx512 {
namespace {

constexpr int kLanes = 16;          // weight rows of one vector
constexpr int kSpan = 4;            // blocks of 32 that share a scale
constexpr int kTokensTogether = 6;  // their sums for 32 rows fill 24 registers

/// Up to 32 rows of weights in eight bits: for each block of 32 elements and k = 0 .. 7, one vector per sixteen rows of
/// elements 4k .. 4k + 3, plus 128; for each span of blocks, one vector of scales per sixteen rows.
struct RoundedTile {
  uint8_t* quants;
  float* scales;

  static int64_t quant_bytes(int64_t blocks) { return blocks * 32 * 2 * kLanes; }
  static int64_t bytes(int64_t blocks) {
    return quant_bytes(blocks) + (blocks + kSpan - 1) / kSpan * 2 * kLanes * static_cast<int64_t>(sizeof(float));
  }
  RoundedTile(std::byte* memory, int64_t blocks)
      : quants(reinterpret_cast<uint8_t*>(memory)), scales(reinterpret_cast<float*>(memory + quant_bytes(blocks))) {}
};

/// Takes what a reader of columns.h yields: quants go to their place in the tile as they are, scales and minima are
/// kept until their span is complete.
template <class T, int kVectors>
struct SpanReader {
  using Order = Columns;
  static constexpr int kGroups = 32 / T::kGroup;  // per block
  static constexpr int kDots = T::kGroup / 4;     // vectors per group
  static constexpr int kHeld = (T::kBlocks > kSpan ? T::kBlocks : kSpan) * kGroups;
  uint8_t* to;    // the tile's place for the first block held
  int first = 0;  // where groups are counted from
  __m512 d[kHeld], m[kHeld];

  RETORT_INLINE void advance(int blocks) { first += blocks * kGroups; }
  RETORT_INLINE void begin(int) {}
  RETORT_INLINE void dot(int group, int k, __m512i q) {
    _mm512_store_si512(to + ((first + group) * kDots + k) * kVectors * 64, q);
  }
  RETORT_INLINE void end(int group, __m512 scale) { d[first + group] = scale; }
  RETORT_INLINE void end(int group, __m512 scale, __m512 min) {
    d[first + group] = scale;
    m[first + group] = min;
  }

  /// The largest magnitude that the groups' scales allow; NaN where one is.
  RETORT_INLINE __m512 largest(int begin, int count) const {
    __m512i most = _mm512_setzero_si512();
    auto consider = [&](__m512 value) {  // as integers, magnitudes order NaN last
      most = _mm512_max_epu32(most, _mm512_and_si512(_mm512_castps_si512(value), _mm512_set1_epi32(0x7fffffff)));
    };
    for (int g = begin; g < begin + count; ++g) {
      if constexpr (T::kHasMin) {
        consider(m[g]);
        consider(_mm512_fmadd_ps(d[g], _mm512_set1_ps(T::kMost), m[g]));
      } else {
        consider(_mm512_mul_ps(d[g], _mm512_set1_ps(128 >> T::kShift)));
      }
    }
    return _mm512_castsi512_ps(most);
  }

  /// Rounds the quants of `count` groups to their common scale, which is returned: (q * factor + constant) / 256 in 16
  /// bits, the upper byte of which is the result.
  RETORT_INLINE __m512 round(int begin, int count) const {
    __m512 most = largest(begin, count);
    __m512 inverse = _mm512_maskz_div_ps(_mm512_cmp_ps_mask(most, _mm512_setzero_ps(), _CMP_NEQ_UQ),
                                         _mm512_set1_ps(127 * 256), most);
    auto both_halves = [](__m512i v) {
      return _mm512_or_si512(_mm512_slli_epi32(v, 16), _mm512_and_si512(v, _mm512_set1_epi32(0xffff)));
    };
    const __m512i upper = _mm512_set1_epi16(static_cast<int16_t>(0xff00));
    for (int g = begin; g < begin + count; ++g) {
      __m512i factor = _mm512_cvtps_epi32(_mm512_mul_ps(d[g], inverse)), constant;
      if constexpr (T::kHasMin)
        constant = _mm512_cvtps_epi32(_mm512_mul_ps(m[g], inverse));
      else
        constant = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(factor, 7 - T::kShift));
      factor = both_halves(factor);
      constant = both_halves(_mm512_add_epi32(constant, _mm512_set1_epi32(128 * 256 + 128)));
#pragma GCC unroll 8
      for (int k = 0; k < kDots; ++k) {
        uint8_t* at = to + (g * kDots + k) * kVectors * 64;
        __m512i q = _mm512_load_si512(at);
        __m512i even = _mm512_mullo_epi16(_mm512_andnot_si512(upper, q), factor);
        __m512i odd = _mm512_mullo_epi16(_mm512_srli_epi16(q, 8), factor);
        even = _mm512_srli_epi16(_mm512_add_epi16(even, constant), 8);
        odd = _mm512_add_epi16(odd, constant);
        _mm512_store_si512(at, _mm512_ternarylogic_epi32(upper, odd, even, 0xca));  // upper ? odd : even
      }
    }
    return _mm512_mul_ps(most, _mm512_set1_ps(1.0f / 127));
  }
};

/// Sixteen rows from `weights` on into vector `v` of the tile's kVectors.
template <class T, int kVectors>
void round_rows(const uint8_t* weights, int64_t row_bytes, int64_t blocks, int v, const RoundedTile& tile) {
  SpanReader<T, kVectors> reader;
  reader.to = tile.quants + v * 64;
  float* scales = tile.scales + v * kLanes;
  for (int64_t block = 0; block < blocks;) {
    int held = 0;  // blocks that the reader has
    for (; held < kSpan && block + held < blocks; held += T::kBlocks) {
      reader.first = held * reader.kGroups;
      T::read(weights, row_bytes, reader);
      weights += T::kBytes;
    }
    for (int b = 0; b < held; b += kSpan, scales += kVectors * kLanes) {
      int count = held - b < kSpan ? held - b : kSpan;
      _mm512_store_ps(scales, reader.round(b * reader.kGroups, count * reader.kGroups));
    }
    reader.to += held * 8 * kVectors * 64;
    block += held;
  }
}

/// Outputs of M tokens and the tile's 16 * kVectors rows.
template <int kVectors, int M>
void multiply_many(const RoundedTile& tile, const QuantizedRows& x, int64_t token, __m512 (*sums)[kVectors]) {
  const int64_t blocks = x.cols / 32;
  const int8_t* quants = x.quants + token * x.cols;
  const float* scales = x.scales + token * blocks;
  const int32_t* offsets = x.offsets32 + token * blocks;
  const uint8_t* weights = tile.quants;
  const float* weight_scales = tile.scales;
  for (int t = 0; t < M; ++t)
    for (int v = 0; v < kVectors; ++v) sums[t][v] = _mm512_setzero_ps();
  for (int64_t first = 0; first < blocks; first += kSpan) {
    const int64_t end = first + kSpan < blocks ? first + kSpan : blocks;
    __m512 part[M][kVectors];
    for (int t = 0; t < M; ++t)
      for (int v = 0; v < kVectors; ++v) part[t][v] = _mm512_setzero_ps();
    for (int64_t block = first; block < end; ++block) {
      __m512i dots[M][kVectors];
      for (int t = 0; t < M; ++t)
        for (int v = 0; v < kVectors; ++v) dots[t][v] = _mm512_set1_epi32(offsets[t * blocks + block]);
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) {
        __m512i w[kVectors];
        for (int v = 0; v < kVectors; ++v) w[v] = _mm512_load_si512(weights + (k * kVectors + v) * 64);
        for (int t = 0; t < M; ++t) {
          int32_t four;
          __builtin_memcpy(&four, quants + t * x.cols + block * 32 + k * 4, 4);
          __m512i a = _mm512_set1_epi32(four);
          for (int v = 0; v < kVectors; ++v) dots[t][v] = _mm512_dpbusd_epi32(dots[t][v], w[v], a);
        }
      }
      weights += 8 * kVectors * 64;
      for (int t = 0; t < M; ++t) {
        __m512 scale = _mm512_set1_ps(scales[t * blocks + block]);
        for (int v = 0; v < kVectors; ++v)
          part[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t][v]), scale, part[t][v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      __m512 d = _mm512_load_ps(weight_scales + v * kLanes);
      for (int t = 0; t < M; ++t) sums[t][v] = _mm512_fmadd_ps(part[t][v], d, sums[t][v]);
    }
    weight_scales += kVectors * kLanes;
    asm volatile("" : : "r"(sums) : "memory");  // these sums live in memory: the registers are for `part` and `dots`
  }
}

/// A tile's outputs for tokens `token` to `token` + M, from row `row` on, without those of the first `skip` rows.
template <int kVectors, int M>
void multiply_and_store_many(const LinearArgs& args, const RoundedTile& tile, int64_t row, int64_t skip,
                             int64_t token) {
  float* out = args.output + token * args.output_stride + row;
  for (int t = 0; t < M; ++t)  // asked for now, so that storing does not wait for the lines
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(out + t * args.output_stride + v * kLanes, 1);
  __m512 sums[M][kVectors];
  multiply_many<kVectors, M>(tile, *args.quantized, token, sums);
  const auto wanted = static_cast<__mmask16>(0xffffu << skip);
  for (int v = 0; v < kVectors; ++v) {
    __m512 bias = args.bias != nullptr ? _mm512_loadu_ps(args.bias + row + v * kLanes) : _mm512_setzero_ps();
    for (int t = 0; t < M; ++t) {
      float* to = out + t * args.output_stride + v * kLanes;
      if (skip == 0)
        _mm512_storeu_ps(to, _mm512_add_ps(sums[t][v], bias));
      else
        _mm512_mask_storeu_ps(to, wanted, _mm512_add_ps(sums[t][v], bias));
    }
  }
}

template <class T, int kVectors>
void many_tokens_tile(const LinearArgs& args, int64_t row, int64_t skip) {
  using Multiply = void (*)(const LinearArgs& args, const RoundedTile& tile, int64_t row, int64_t skip, int64_t token);
  static constexpr Multiply kRest[kTokensTogether] = {nullptr,
                                                      multiply_and_store_many<kVectors, 1>,
                                                      multiply_and_store_many<kVectors, 2>,
                                                      multiply_and_store_many<kVectors, 3>,
                                                      multiply_and_store_many<kVectors, 4>,
                                                      multiply_and_store_many<kVectors, 5>};
  const int64_t blocks = args.in_features / 32, row_bytes = blocks / T::kBlocks * T::kBytes;
  const RoundedTile tile(args.scratch, blocks);
  for (int v = 0; v < kVectors; ++v)
    round_rows<T, kVectors>(reinterpret_cast<const uint8_t*>(args.weights) + (row + v * kLanes) * row_bytes, row_bytes,
                            blocks, v, tile);
  int64_t token = 0;
  for (; token + kTokensTogether <= args.num_tokens; token += kTokensTogether)
    multiply_and_store_many<kVectors, kTokensTogether>(args, tile, row, skip, token);
  if (token < args.num_tokens) kRest[args.num_tokens - token](args, tile, row, skip, token);
}

/// All tokens by rows [row_begin, row_end) of a matrix; row_end is at least sixteen.
template <class T>
void many_tokens(const LinearArgs& args) {
  int64_t row = args.row_begin;
  for (; row + 2 * kLanes <= args.row_end; row += 2 * kLanes) many_tokens_tile<T, 2>(args, row, 0);
  for (; row < args.row_end; row += kLanes) {
    // The last tile is a whole one, too: it begins earlier, maybe before row_begin.
    int64_t skip = row + kLanes <= args.row_end ? 0 : row + kLanes - args.row_end;
    many_tokens_tile<T, 1>(args, row - skip, skip);
  }
}

}  // namespace
}  // namespace retort::kernels::avx512
