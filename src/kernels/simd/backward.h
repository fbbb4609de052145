// Gradients of the small operations over a float vector V; the templates of elementwise.h are at hand.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/simd/elementwise.h"
#include "kernels/training.h"

namespace {

/// load(pointer) and store(vector, pointer) for `count` lanes: all of them, or the first few.
template <class V, class F>
inline void for_lanes(int64_t n, F body) {
  for_vectors<V>(
      n,
      [&](int64_t i) {
        body(
            i, [](const float* p) { return V::load(p); }, [](V v, float* p) { v.store(p); });
      },
      [&](int64_t i, int count) {
        body(
            i, [count](const float* p) { return V::load_first(p, count); },
            [count](V v, float* p) { v.store_first(p, count); });
      });
}

template <class V>
void simd_rms_norm_backward(const float* x, const float* weight, float epsilon, const float* dout, float* dx,
                            bool accumulate, float* dweight, int64_t n) {
  V squares(0.0f), dots(0.0f);
  for_lanes<V>(n, [&](int64_t i, auto load, auto) {
    V v = load(x + i);
    squares = V::fma(v, v, squares);
    dots = V::fma(load(dout + i) * load(weight + i), v, dots);
  });
  float inverse = 1 / std::sqrt(squares.sum() / static_cast<float>(n) + epsilon);
  float shrink = inverse * inverse * dots.sum() / static_cast<float>(n);
  for_lanes<V>(n, [&](int64_t i, auto load, auto store) {
    V v = load(x + i), d = load(dout + i);
    V gradient = V(inverse) * (d * load(weight + i) - v * V(shrink));
    if (accumulate) gradient = gradient + load(dx + i);
    store(gradient, dx + i);
    if (dweight != nullptr) store(V::fma(d * V(inverse), v, load(dweight + i)), dweight + i);
  });
}

template <class V>
void simd_gated_backward(retort::kernels::Activation activation, const float* gate, const float* up, const float* dout,
                         float* dgate, float* dup, int64_t n) {
  bool gelu = activation == retort::kernels::Activation::kGeluTanh;
  for_lanes<V>(n, [&](int64_t i, auto load, auto store) {
    V x = load(gate + i), d = load(dout + i), z = x, slope(1.0f);
    if (gelu) {
      V square = V(0.044715f) * x * x;
      z = V(1.5957691216057308f) * x * (square + V(1.0f));
      slope = V(1.5957691216057308f) * V::fma(V(3.0f), square, V(1.0f));
    }
    V s = V(1.0f) / (V(1.0f) + exp(V(0.0f) - z));
    V turn = V::fma(x * slope, s * (V(1.0f) - s), s);
    store(d * load(up + i) * turn, dgate + i);
    store(d * x * s, dup + i);
  });
}

template <class V>
void simd_softmax(const float* x, float scale, float* out, int64_t n) {
  if (n == 0) return;
  float largest = -INFINITY;
  V tops(-INFINITY);
  for_vectors<V>(
      n, [&](int64_t i) { tops = V::max(tops, V::load(x + i)); },
      [&](int64_t i, int count) {
        for (int j = 0; j < count; ++j) largest = x[i + j] > largest ? x[i + j] : largest;
      });
  largest = tops.largest() > largest ? tops.largest() : largest;
  V shift(largest * scale), sums(0.0f);
  float rest = 0;
  for_vectors<V>(
      n,
      [&](int64_t i) {
        V p = exp(V::load(x + i) * V(scale) - shift);
        sums = sums + p;
        p.store(out + i);
      },
      [&](int64_t i, int count) {
        exp(V::load_first(x + i, count) * V(scale) - shift).store_first(out + i, count);
        for (int j = 0; j < count; ++j) rest += out[i + j];
      });
  V factor(1 / (sums.sum() + rest));
  for_lanes<V>(n, [&](int64_t i, auto load, auto store) { store(load(out + i) * factor, out + i); });
}

template <class V>
void simd_softmax_backward(const float* p, const float* dp, float scale, float* dx, int64_t n) {
  V sums(0.0f);
  for_lanes<V>(n, [&](int64_t i, auto load, auto) { sums = V::fma(load(p + i), load(dp + i), sums); });
  V mean(sums.sum());
  for_lanes<V>(
      n, [&](int64_t i, auto load, auto store) { store(V(scale) * load(p + i) * (load(dp + i) - mean), dx + i); });
}

template <class V>
void simd_log_sum_exp(const float* x, int64_t n, float* largest, float* sum) {
  float top = *largest;
  V tops(top);
  for_vectors<V>(
      n, [&](int64_t i) { tops = V::max(tops, V::load(x + i)); },
      [&](int64_t i, int count) {
        for (int j = 0; j < count; ++j) top = x[i + j] > top ? x[i + j] : top;
      });
  top = tops.largest() > top ? tops.largest() : top;
  V shift(top), sums(0.0f);
  float rest = 0;
  for_vectors<V>(
      n, [&](int64_t i) { sums = sums + exp(V::load(x + i) - shift); },
      [&](int64_t i, int count) {
        for (int j = 0; j < count; ++j) rest += std::exp(x[i + j] - top);
      });
  float before = *sum == 0 ? 0 : *sum * std::exp(*largest - top);
  *largest = top;
  *sum = before + sums.sum() + rest;
}

template <class V>
void simd_exp_scaled(const float* x, float shift, float factor, float* out, int64_t n) {
  for_lanes<V>(n, [&](int64_t i, auto load, auto store) { store(V(factor) * exp(load(x + i) - V(shift)), out + i); });
}

}  // namespace
