// Matrix products for training over a float vector V: blocks of B are brought into panels of two vectors' columns, step
// by step along the depth, and multiplied with a few rows of A at a time, all sums in registers. A step is what one
// 4-byte lane of an instruction takes: one float, or a pair of bf16. The including file defines, before this:
//   stored_floats(dtype, row, out, n): dequantizes n elements;
//   and for each precision a struct E with kPair (elements in a step), Steps (a vector of them), load, broadcast,
//   interleave(V even, V odd), store, multiply_add, convert (a row of floats into steps), transpose (kLanes x kLanes
//   steps), and for pairs interleave_stored(stored bf16 even, odd).
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/training.h"

namespace {

constexpr int64_t kBlockDepth = 512, kBlockCols = 256;  // of B, brought into panels at a time: 128 or 256 KiB, for L2

template <class V>
struct MatmulScratch {
  float floats[V::kLanes * kBlockDepth];  // dequantized pieces of B's rows
  uint32_t steps[V::kLanes * kBlockDepth];
  uint32_t panels[kBlockDepth * kBlockCols];
};

/// Sums of M rows by N vectors of columns: all of C's tile that `steps` steps of the depth add.
template <class V, class E, int M, int N>
inline void multiply_panel(const uint32_t* a, int64_t row_stride, int64_t step_stride, const uint32_t* panel,
                           int64_t steps, float* c, int64_t c_stride, bool accumulate, int cols) {
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m)  // asked for now, so that adding and storing do not wait for the lines
    for (int n = 0; n < N; ++n) __builtin_prefetch(c + m * c_stride + n * V::kLanes, 1);
  V sums[M][N];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) sums[m][n] = V(0.0f);
  for (int64_t s = 0; s < steps; ++s) {
    typename E::Steps w[N];
    for (int n = 0; n < N; ++n) w[n] = E::load(panel + (2 * s + n) * V::kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      typename E::Steps x = E::broadcast(a + m * row_stride + s * step_stride);
      for (int n = 0; n < N; ++n) sums[m][n] = E::multiply_add(sums[m][n], x, w[n]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    float* out = c + m * c_stride;
    for (int n = 0; n < N; ++n) {
      int left = cols - n * V::kLanes;
      if (left >= V::kLanes) {
        V v = sums[m][n];
        if (accumulate) v = v + V::load(out + n * V::kLanes);
        v.store(out + n * V::kLanes);
      } else if (left > 0) {
        V v = sums[m][n];
        if (accumulate) v = v + V::load_first(out + n * V::kLanes, left);
        v.store_first(out + n * V::kLanes, left);
      }
    }
  }
}

template <class V, class E, int M>
inline void multiply_rows(int64_t rows, const uint32_t* a, int64_t row_stride, int64_t step_stride,
                          const uint32_t* panel, int64_t steps, float* c, int64_t c_stride, bool accumulate, int cols) {
  if constexpr (M > 0) {
    if (rows < M)
      return multiply_rows<V, E, M - 1>(rows, a, row_stride, step_stride, panel, steps, c, c_stride, accumulate, cols);
    int64_t r = 0;
    for (; r + M <= rows; r += M) {
      const uint32_t* from = a + r * row_stride;
      if (cols > V::kLanes)
        multiply_panel<V, E, M, 2>(from, row_stride, step_stride, panel, steps, c + r * c_stride, c_stride, accumulate,
                                   cols);
      else
        multiply_panel<V, E, M, 1>(from, row_stride, step_stride, panel, steps, c + r * c_stride, c_stride, accumulate,
                                   cols);
    }
    if (r < rows)
      multiply_rows<V, E, M - 1>(rows - r, a + r * row_stride, row_stride, step_stride, panel, steps, c + r * c_stride,
                                 c_stride, accumulate, cols);
  }
}

/// Steps from one pair of a transposed, packed A's stored rows to the next.
template <class V>
inline int64_t packed_stride(int64_t rows) {
  return (rows + V::kLanes - 1) / V::kLanes * V::kLanes;
}

/// Elements [begin, end) of B's stored row as floats: in place where they are.
inline const float* row_floats(const retort::kernels::MatmulArgs& args, int64_t row, int64_t begin, int64_t end,
                               float* buffer) {
  const std::byte* stored = args.b + row * args.b_row_bytes + retort::tensor::row_bytes(args.b_dtype, begin);
  if (args.b_dtype == retort::tensor::DType::kF32) return reinterpret_cast<const float*>(stored);
  stored_floats(args.b_dtype, stored, buffer, end - begin);
  return buffer;
}

/// Depth [depth, depth + count) by columns [col, col + cols) of B, whose rows run along the columns.
template <class V, class E>
void pack_rows(const retort::kernels::MatmulArgs& args, int64_t depth, int64_t count, int64_t col, int64_t cols,
               MatmulScratch<V>& scratch) {
  int64_t steps = (count + E::kPair - 1) / E::kPair;
  for (int64_t s = 0; s < steps; ++s) {
    int64_t k = depth + s * E::kPair;
    if constexpr (E::kPair == 2) {
      if (args.b_dtype == retort::tensor::DType::kBF16 && k + 1 < depth + count && cols % V::kLanes == 0) {
        const std::byte* stored = args.b + k * args.b_row_bytes + 2 * col;
        for (int64_t j = 0; j < cols; j += V::kLanes)
          E::store(E::interleave_stored(stored + 2 * j, stored + args.b_row_bytes + 2 * j),
                   scratch.panels + (j / (2 * V::kLanes) * steps + s) * 2 * V::kLanes + j % (2 * V::kLanes));
        continue;
      }
    }
    const float* even = row_floats(args, k, col, col + cols, scratch.floats);
    bool paired = E::kPair == 2 && k + 1 < depth + count;
    const float* odd = paired ? row_floats(args, k + 1, col, col + cols, scratch.floats + kBlockCols) : even;
    for (int64_t j = 0; j < cols; j += V::kLanes) {
      uint32_t* to = scratch.panels + (j / (2 * V::kLanes) * steps + s) * 2 * V::kLanes + j % (2 * V::kLanes);
      int left = static_cast<int>(cols - j);
      V a = left >= V::kLanes ? V::load(even + j) : V::load_first(even + j, left);
      V b = !paired ? V(0.0f) : left >= V::kLanes ? V::load(odd + j) : V::load_first(odd + j, left);
      E::store(E::interleave(a, b), to);
    }
  }
}

/// The same of a B whose rows run along the depth.
template <class V, class E>
void pack_columns(const retort::kernels::MatmulArgs& args, int64_t depth, int64_t count, int64_t col, int64_t cols,
                  MatmulScratch<V>& scratch) {
  constexpr int L = V::kLanes;
  int64_t steps = (count + E::kPair - 1) / E::kPair;
  for (int64_t j = 0; j < cols; j += L) {
    uint32_t* to = scratch.panels + j / (2 * L) * steps * 2 * L + j % (2 * L);
    const uint32_t* rows[L];
    for (int lane = 0; lane < L; ++lane) {
      int64_t c = j + lane < cols ? j + lane : cols - 1;
      if (E::kPair == 2 && args.b_dtype == retort::tensor::DType::kBF16 && count % 2 == 0) {
        rows[lane] = reinterpret_cast<const uint32_t*>(args.b + (col + c) * args.b_row_bytes + 2 * depth);
        continue;
      }
      const float* floats = row_floats(args, col + c, depth, depth + count, scratch.floats + lane * kBlockDepth);
      if constexpr (E::kPair == 1) {
        rows[lane] = reinterpret_cast<const uint32_t*>(floats);
      } else {
        E::convert(floats, scratch.steps + lane * kBlockDepth, count);
        rows[lane] = scratch.steps + lane * kBlockDepth;
      }
    }
    int64_t s = 0;
    for (; s + L <= steps; s += L) {
      const uint32_t* from[L];
      for (int lane = 0; lane < L; ++lane) from[lane] = rows[lane] + s;
      E::transpose(from, to + s * 2 * L, 2 * L);
    }
    for (; s < steps; ++s)
      for (int lane = 0; lane < L; ++lane) to[s * 2 * L + lane] = rows[lane][s];
  }
}

template <class V, class E>
void simd_matmul(const retort::kernels::MatmulArgs& args) {
  auto& scratch = *reinterpret_cast<MatmulScratch<V>*>(args.scratch);
  int64_t rows = args.row_end - args.row_begin;
  if (rows <= 0) return;
  // Where element (r, k) of A is, in steps.
  const uint32_t* a = reinterpret_cast<const uint32_t*>(args.a);
  int64_t row_stride = args.a_transposed ? 1 : args.a_stride, step_stride = args.a_transposed ? args.a_stride : 1;
  if constexpr (E::kPair == 2) {
    a = reinterpret_cast<const uint32_t*>(args.packed_a);
    if (args.a_transposed)
      step_stride = packed_stride<V>(args.a_rows);
    else
      row_stride = (args.depth + 1) / 2;
  }
  a += args.row_begin * row_stride;
  if (args.depth == 0 && !args.accumulate)
    for (int64_t r = args.row_begin; r < args.row_end; ++r)
      for (int64_t c = args.col_begin; c < args.col_end; ++c) args.c[r * args.c_stride + c] = 0;
  for (int64_t col = args.col_begin; col < args.col_end; col += kBlockCols) {
    int64_t cols = args.col_end - col < kBlockCols ? args.col_end - col : kBlockCols;
    for (int64_t depth = 0; depth < args.depth; depth += kBlockDepth) {
      int64_t count = args.depth - depth < kBlockDepth ? args.depth - depth : kBlockDepth;
      if (args.b_transposed)
        pack_columns<V, E>(args, depth, count, col, cols, scratch);
      else
        pack_rows<V, E>(args, depth, count, col, cols, scratch);
      int64_t steps = (count + E::kPair - 1) / E::kPair;
      for (int64_t j = 0; j < cols; j += 2 * V::kLanes)
        multiply_rows<V, E, E::kTileRows>(rows, a + depth / E::kPair * step_stride, row_stride, step_stride,
                                          scratch.panels + j * steps, steps,
                                          args.c + args.row_begin * args.c_stride + col + j, args.c_stride,
                                          args.accumulate || depth > 0, static_cast<int>(cols - j));
    }
  }
}

/// A as pairs of bf16: its rows one after the other, or, when transposed, pairs of its stored rows side by side.
template <class V, class E>
void pack_left(const retort::kernels::MatmulArgs& args, std::byte* packed, int64_t begin, int64_t end) {
  int64_t rows = args.a_rows;
  auto* out = reinterpret_cast<uint32_t*>(packed);
  for (int64_t unit = begin; unit < end; ++unit) {
    if (!args.a_transposed) {
      E::convert(args.a + unit * args.a_stride, out + unit * ((args.depth + 1) / 2), args.depth);
      continue;
    }
    const float *even = args.a + 2 * unit * args.a_stride, *odd = even + args.a_stride;
    bool paired = 2 * unit + 1 < args.depth;
    for (int64_t r = 0; r < rows; r += V::kLanes) {
      int left = static_cast<int>(rows - r);
      bool whole = left >= V::kLanes;
      V a = whole ? V::load(even + r) : V::load_first(even + r, left);
      V b = !paired ? V(0.0f) : whole ? V::load(odd + r) : V::load_first(odd + r, left);
      E::store(E::interleave(a, b), out + unit * packed_stride<V>(rows) + r);
    }
  }
}

}  // namespace
