// Products of quantized weights with a few tokens (decoding one or several sequences): tiles of kLaneCount weight rows
// are unpacked in registers, four quants of every row side by side, and each vector meets every token before the next
// one is unpacked, so that weights are read once and nothing but sums is kept. Bounds: memory bandwidth for one token,
// the 8-bit products from about eight on.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/x86/columns.h"

namespace {

using retort::kernels::LinearArgs;
using retort::kernels::QuantizedRows;

/// The activations of M tokens, regrouped so that one pointer reaches all of them: for each block of 32, the quants of
/// every token, their scales, and for each group the sums (weights with a minimum) or offsets.
template <class T, int M>
struct Record {
  static constexpr int kGroups = 32 / T::kGroup;
  static constexpr int kScales = 32 * M, kExtra = kScales + 4 * M, kBytes = kExtra + 4 * M * kGroups;

  static void fill(const QuantizedRows& x, int64_t token, std::byte* out) {
    const int64_t blocks = x.cols / 32;
    const void* extra = T::kHasMin ? static_cast<const void*>(kGroups == 1 ? x.sums32 : x.sums16)
                                   : static_cast<const void*>(kGroups == 1 ? x.offsets32 : x.offsets16);
    for (int t = 0; t < M; ++t) {
      const int8_t* quants = x.quants + (token + t) * x.cols;
      const float* scales = x.scales + (token + t) * blocks;
      const auto* extras = static_cast<const std::byte*>(extra) + (token + t) * blocks * kGroups * 4;
      std::byte* to = out;
      for (int64_t block = 0; block < blocks; ++block, to += kBytes) {
        std::memcpy(to + 32 * t, quants + 32 * block, 32);
        std::memcpy(to + kScales + 4 * t, scales + block, 4);
        for (int g = 0; g < kGroups; ++g)
          std::memcpy(to + kExtra + 4 * (M * g + t), extras + (block * kGroups + g) * 4, 4);
      }
    }
  }
};

/// How one of M tokens' sums is made, and of quants in which order. one_token.h has another way.
template <class T, int M>
struct SumsOf {
  using Group = GroupSum<T>;
  using Order = Columns;
};

/// How the next tile is asked for while one is multiplied by M tokens.
template <int M>
struct ReadingAhead {
  static constexpr bool kMemoryBound = M <= 2;
  const char* at;
  int64_t step;  // bytes a group; 0: nothing is asked for
  int64_t tile_bytes;

  /// Asks for the share of one group, kBytes. Tied to a sum: see ask_for().
  template <int kBytes>
  RETORT_INLINE void advance(FloatVector& tie) {
    if (kMemoryBound && kPassingTileBytes > 0 && tile_bytes <= kPassingTileBytes) {
      ask<kBytes>([&](const char* p) { ask_for_passing(p, tie); });
    } else {
      ask<kBytes>([&](const char* p) { ask_for(p, tie); });
    }
    at += step;
  }

 private:
  template <int kBytes, class Ask>
  RETORT_INLINE void ask(Ask one) const {
#pragma GCC unroll 16
    for (int i = 0; i < kBytes; i += 64) one(at + i);
    if constexpr (kMemoryBound && kAsksTwice) {
#pragma GCC unroll 16
      for (int i = 0; i < kBytes; i += 64) one(at + tile_bytes + i);
    }
  }
};

/// Sums of M tokens and kLaneCount rows, one row a lane. With each group a share of what comes next in memory is asked
/// for, into the second-level cache: all at once, or on most processors into the first level, would fill the queue of
/// outstanding lines and hold up the work that is to hide them.
template <class T, int M>
struct TileSums {
  using R = Record<T, M>;
  using Group = typename SumsOf<T, M>::Group;
  using Order = typename SumsOf<T, M>::Order;
  static constexpr int kAheadBytes = kLaneCount * T::kBytes * T::kGroup / (32 * T::kBlocks);  // of one group
  const std::byte* x;  // the record of the first block at hand
  ReadingAhead<M> ahead;
  FloatVector total[M];
  Group sum[M];

  RETORT_INLINE TileSums(const std::byte* records, const ReadingAhead<M>& next) : x(records), ahead(next) {
#pragma GCC unroll 8
    for (int t = 0; t < M; ++t) total[t] = no_floats();
  }
  RETORT_INLINE const std::byte* extra(int group, int t) const {
    return x + group / R::kGroups * R::kBytes + R::kExtra + 4 * (M * (group % R::kGroups) + t);
  }
  RETORT_INLINE void advance(int blocks) {
    x += blocks * R::kBytes;
  }
  RETORT_INLINE void begin(int group) {
#pragma GCC unroll 8
    for (int t = 0; t < M; ++t) sum[t].begin(extra(group, t));
  }
  RETORT_INLINE void dot(int group, int k, WordVector quants) {
    const std::byte* at = x + group / R::kGroups * R::kBytes + group % R::kGroups * 16;
    const auto prepared = Group::prepare(quants);
#pragma GCC unroll 8
    for (int t = 0; t < M; ++t) sum[t].add(k, prepared, Order::activations(at + 32 * t, k));
  }
  RETORT_INLINE void end(int group, FloatVector d) {
    const std::byte* scales = x + group / R::kGroups * R::kBytes + R::kScales;
#pragma GCC unroll 8
    for (int t = 0; t < M; ++t) {
      FloatVector scaled = times(to_floats(sum[t].sum), d);
      total[t] = times_plus(scaled, float_everywhere(scales + 4 * t), total[t]);
    }
    ahead.template advance<kAheadBytes>(total[0]);
  }
  RETORT_INLINE void end(int group, FloatVector d, FloatVector m) {
    end(group, d);
#pragma GCC unroll 8
    for (int t = 0; t < M; ++t) total[t] = times_plus(m, float_everywhere(extra(group, t)), total[t]);
  }
};

/// Tokens `token` to `token` + M of the tile that begins at `row`, without the outputs of its first `skip` rows. What
/// comes after the tile in memory is asked for meanwhile.
template <class T, int M>
void multiply_few(const LinearArgs& args, const std::byte* records, int64_t row, int64_t skip, int64_t token,
                  bool prefetch) {
  const int64_t blocks = args.in_features / 32, row_bytes = blocks / T::kBlocks * T::kBytes;
  const auto* p = reinterpret_cast<const uint8_t*>(args.weights) + row * row_bytes;
  using Sums = TileSums<T, M>;
  const int64_t tile_bytes = kLaneCount * row_bytes;
  ReadingAhead<M> ahead{reinterpret_cast<const char*>(records), 0, 0};
  if (prefetch) ahead = {reinterpret_cast<const char*>(p) + tile_bytes, Sums::kAheadBytes, tile_bytes};
  Sums sums(records, ahead);
  for (int64_t block = 0; block < blocks; block += T::kBlocks) {
    T::read(p, row_bytes, sums);
    p += T::kBytes;
  }
  FloatVector bias = args.bias != nullptr ? load_floats(args.bias + row) : no_floats();
#pragma GCC unroll 8
  for (int t = 0; t < M; ++t)
    store_from(args.output + (token + t) * args.output_stride + row, skip, plus(sums.total[t], bias));
}

/// The functions for one number of tokens.
struct FewTokens {
  void (*fill)(const QuantizedRows& x, int64_t token, std::byte* out);
  void (*multiply)(const LinearArgs& args, const std::byte* records, int64_t row, int64_t skip, int64_t token,
                   bool prefetch);
};

constexpr int64_t kMostTokens = 32;  // of a call: their records lie in scratch memory

/// All tokens, kMostTokens or fewer, by rows [row_begin, row_end) of a matrix of at least kLaneCount rows.
template <class T>
void few_tokens(const LinearArgs& args) {
  static constexpr int kMost = T::kGroup == 16 ? kMostTogetherOf16 : kMostTogether;
  static constexpr auto kBy = []<int... M>(std::integer_sequence<int, M...>) {
    return std::array<FewTokens, kMost>{FewTokens{Record<T, M + 1>::fill, multiply_few<T, M + 1>}...};
  }
  (std::make_integer_sequence<int, kMost>{});
  struct Together {
    int64_t token;  // the first
    const std::byte* records;
    FewTokens by;
  };
  std::array<Together, kMostTokens> all;
  const int64_t count = (args.num_tokens + kMost - 1) / kMost;
  const int64_t record_bytes = args.in_features / 32 * Record<T, 1>::kBytes;  // of one token
  for (int64_t i = 0, token = 0; i < count; ++i) {
    const int64_t next = args.num_tokens * (i + 1) / count;
    std::byte* records = args.scratch + token * record_bytes;
    const FewTokens& by = kBy[static_cast<size_t>(next - token - 1)];
    by.fill(*args.quantized, token, records);
    all[static_cast<size_t>(i)] = {token, records, by};
    token = next;
  }
  const std::span<const Together> parts = std::span(all).first(static_cast<size_t>(count));
  for (int64_t row = args.row_begin; row < args.row_end; row += kLaneCount) {
    // The last tile is a whole one, too: it begins earlier, maybe before row_begin.
    int64_t skip = row + kLaneCount <= args.row_end ? 0 : row + kLaneCount - args.row_end;
    for (const Together& part : parts)
      part.by.multiply(args, part.records, row - skip, skip, part.token, part.token == 0);
  }
}

/// The same for the types with blocks of 32, and false for others.
template <class = void>
bool few_tokens_of_blocks(const LinearArgs& args) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kQ4_0:
      return few_tokens<ColumnsQ4_0>(args), true;
    case DType::kQ4_1:
      return few_tokens<ColumnsQ4_1>(args), true;
    case DType::kQ5_0:
      return few_tokens<ColumnsQ5_0>(args), true;
    case DType::kQ5_1:
      return few_tokens<ColumnsQ5_1>(args), true;
    case DType::kQ8_0:
      return few_tokens<ColumnsQ8_0>(args), true;
    case DType::kIQ4_NL:
      return few_tokens<ColumnsIQ4_NL>(args), true;
    default:
      return false;
  }
}

}  // namespace
