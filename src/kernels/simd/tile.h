// Products of quantized weights with many tokens. A tile of weight rows is unpacked once, into the order that the
// instruction set's dot product wants, and then multiplied with all tokens, a few at a time so that all sums stay in
// registers. How is said by a class Tile (x86/tile.h, neon/tile.h), for readers T of the weight types (quants.h):
//   kRows, kTokens              rows of a tile, and the most tokens at a time
//   Quant, Quants               an unpacked quant, and a vector of a block's 32 as T reads them
//   scales<T>(row, count, d, m) to d one scale per group of `count` blocks, to m the minima where T has them
//   quants<T, S>(row)           the quants of block S
//   store_rows(rows, out)       those of all rows, 32 * kRows, in the order that multiply() wants
//   Sums<M>                     of all rows by M tokens; store(t, out) those of token t
//   multiply<T, M>(tile, x, token, sums)   M tokens, whose activations are the rows of x from `token` on
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/kernels.h"

namespace {

/// Per block of 32 elements 32 * kRows quants; per group kRows scales, and minima where the type has them.
template <class Tile>
struct Unpacked {
  typename Tile::Quant* quants;
  float *scales, *mins;
};

template <class Tile>
constexpr int64_t unpacked_bytes(int64_t in_features) {
  return in_features * Tile::kRows + 2 * 4 * (in_features / 16) * Tile::kRows;  // the finest scales: one per 16
}

/// Unpacks rows [0, rows) of `weights`; missing rows of the tile repeat the last one.
template <class Tile, class T>
void unpack(const uint8_t* weights, int64_t row_bytes, int rows, int64_t blocks, const Unpacked<Tile>& tile) {
  constexpr int R = Tile::kRows, G = 32 / T::kGroup;
  const uint8_t* row[R];
  for (int r = 0; r < R; ++r) row[r] = weights + (r < rows ? r : rows - 1) * row_bytes;
  for (int64_t block = 0; block < blocks; block += 8) {
    int count = static_cast<int>(blocks - block < 8 ? blocks - block : 8);
    alignas(32) float d[R][8 * G], m[R][8 * G];
    for (int r = 0; r < R; ++r) Tile::template scales<T>(row[r], count, d[r], m[r]);
    for (int g = 0; g < count * G; ++g) {
      int64_t at = (block * G + g) * R;
      for (int r = 0; r < R; ++r) {
        tile.scales[at + r] = d[r][g];
        if constexpr (T::kHasMin) tile.mins[at + r] = m[r][g];
      }
    }
    auto step = [&](auto index) {
      constexpr int S = decltype(index)::value;
      if (S >= count) return;
      typename Tile::Quants q[R];
      for (int r = 0; r < R; ++r) q[r] = Tile::template quants<T, S>(row[r]);
      Tile::store_rows(q, tile.quants + (block + S) * 32 * R);
    };
    [&]<int... S>(std::integer_sequence<int, S...>) {
      (step(std::integral_constant<int, S>{}), ...);
    }
    (std::make_integer_sequence<int, 8>{});
    for (int r = 0; r < R; ++r) row[r] += T::kBytes;
  }
}

template <class Tile, class T, int M>
inline void multiply_and_store(const retort::kernels::LinearArgs& args, const Unpacked<Tile>& tile, int64_t row,
                               int rows, int64_t token) {
  typename Tile::template Sums<M> sums;
  Tile::template multiply<T, M>(tile, *args.quantized, token, sums);
  for (int t = 0; t < M; ++t) {
    float* out = args.output + (token + t) * args.output_stride + row;
    if (rows == Tile::kRows && args.bias == nullptr) {
      sums.store(t, out);
      continue;
    }
    alignas(64) float values[Tile::kRows];
    sums.store(t, values);
    for (int r = 0; r < rows; ++r) out[r] = values[r] + (args.bias != nullptr ? args.bias[row + r] : 0);
  }
}

/// The last, fewer than kTokens tokens: M is found at compile time.
template <class Tile, class T, int M>
inline void multiply_rest(const retort::kernels::LinearArgs& args, const Unpacked<Tile>& tile, int64_t row, int rows,
                          int64_t token, int count) {
  if constexpr (M > 0) {
    if (count == M)
      multiply_and_store<Tile, T, M>(args, tile, row, rows, token);
    else
      multiply_rest<Tile, T, M - 1>(args, tile, row, rows, token, count);
  }
}

/// Needs unpacked_bytes() of scratch memory.
template <class Tile, class T>
void tile_linear(const retort::kernels::LinearArgs& args) {
  int64_t blocks = args.in_features / 32, row_bytes = blocks * T::kBytes / 8;
  auto* scales = reinterpret_cast<float*>(args.scratch + args.in_features * Tile::kRows);
  const Unpacked<Tile> tile = {reinterpret_cast<typename Tile::Quant*>(args.scratch), scales,
                               scales + args.in_features / T::kGroup * Tile::kRows};
  for (int64_t row = args.row_begin; row < args.row_end; row += Tile::kRows) {
    int rows = static_cast<int>(args.row_end - row < Tile::kRows ? args.row_end - row : Tile::kRows);
    unpack<Tile, T>(reinterpret_cast<const uint8_t*>(args.weights) + row * row_bytes, row_bytes, rows, blocks, tile);
    int64_t token = 0;
    for (; token + Tile::kTokens <= args.num_tokens; token += Tile::kTokens)
      multiply_and_store<Tile, T, Tile::kTokens>(args, tile, row, rows, token);
    multiply_rest<Tile, T, Tile::kTokens - 1>(args, tile, row, rows, token, static_cast<int>(args.num_tokens - token));
  }
}

}  // namespace
