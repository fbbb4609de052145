// Norms, rotations and element-wise operations over a vector type V: kLanes floats with load, store, arithmetic, and
// the
// `_first` forms that touch only some lanes. Each instruction set's folder includes this with a V of its own;
// everything has internal linkage, because each is compiled with flags of its own.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/kernels.h"

namespace {

/// Calls body(load, store) for each whole vector of n elements, then once for what is left.
template <class V, class Whole, class Rest>
inline void for_vectors(int64_t n, Whole whole, Rest rest) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) whole(i);
  if (i < n) rest(i, static_cast<int>(n - i));
}

/// exp(x) with a relative error below 3e-7: x = k ln 2 + r, a polynomial in r, and k into the exponent. x is cut to the
/// range in which the result is a normal number.
template <class V>
inline V exp(V x) {
  x = V::min(V::max(x, V(-87.3f)), V(88.3f));
  V k = V::round(x * V(1.44269504f));
  V r = V::fma(k, V(-0.693359375f), x);
  r = V::fma(k, V(2.12194440e-4f), r);
  V p = V(1.9875691500e-4f);
  p = V::fma(p, r, V(1.3981999507e-3f));
  p = V::fma(p, r, V(8.3334519073e-3f));
  p = V::fma(p, r, V(4.1665795894e-2f));
  p = V::fma(p, r, V(1.6666665459e-1f));
  p = V::fma(p, r, V(5.0000001201e-1f));
  p = V::fma(p * r, r, r + V(1.0f));
  return p * V::power_of_two(k);
}

template <class V>
inline V activate(retort::kernels::Activation activation, V x) {
  // Both are x * sigmoid(z): gelu's tanh form equals sigmoid of twice its argument.
  V z = x;
  if (activation == retort::kernels::Activation::kGeluTanh)
    z = x * V(1.5957691216057308f) * V::fma(V(0.044715f) * x, x, V(1.0f));
  return x / (V(1.0f) + exp(V(0.0f) - z));
}

template <class V>
void simd_rms_norm(const float* x, const float* weight, float epsilon, float* out, int64_t n) {
  V sums = V(0.0f);
  for_vectors<V>(
      n,
      [&](int64_t i) {
        V v = V::load(x + i);
        sums = V::fma(v, v, sums);
      },
      [&](int64_t i, int count) {
        V v = V::load_first(x + i, count);
        sums = V::fma(v, v, sums);
      });
  float inverse = 1 / std::sqrt(sums.sum() / static_cast<float>(n) + epsilon);
  for_vectors<V>(
      n, [&](int64_t i) { (V::load(x + i) * V(inverse) * V::load(weight + i)).store(out + i); },
      [&](int64_t i, int count) {
        (V::load_first(x + i, count) * V(inverse) * V::load_first(weight + i, count)).store_first(out + i, count);
      });
}

template <class V>
void simd_rope(retort::kernels::RopeLayout layout, const float* x, const float* cosines, const float* sines, float* out,
               int64_t n) {
  int64_t half = n / 2;
  if (layout == retort::kernels::RopeLayout::kInterleaved) {
    for (int64_t i = 0; i < half; ++i) {
      float a = x[2 * i], b = x[2 * i + 1];
      out[2 * i] = a * cosines[i] - b * sines[i];
      out[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
    return;
  }
  auto rotate = [](V a, V b, V c, V s, V& first, V& second) {
    first = V::fma(a, c, V(0.0f) - b * s);
    second = V::fma(a, s, b * c);
  };
  for_vectors<V>(
      half,
      [&](int64_t i) {
        V first(0.0f), second(0.0f);
        rotate(V::load(x + i), V::load(x + half + i), V::load(cosines + i), V::load(sines + i), first, second);
        first.store(out + i);
        second.store(out + half + i);
      },
      [&](int64_t i, int count) {
        V first(0.0f), second(0.0f);
        rotate(V::load_first(x + i, count), V::load_first(x + half + i, count), V::load_first(cosines + i, count),
               V::load_first(sines + i, count), first, second);
        first.store_first(out + i, count);
        second.store_first(out + half + i, count);
      });
}

template <class V>
void simd_gated(retort::kernels::Activation activation, const float* gate, const float* up, float* out, int64_t n) {
  for_vectors<V>(
      n, [&](int64_t i) { (activate<V>(activation, V::load(gate + i)) * V::load(up + i)).store(out + i); },
      [&](int64_t i, int count) {
        (activate<V>(activation, V::load_first(gate + i, count)) * V::load_first(up + i, count))
            .store_first(out + i, count);
      });
}

template <class V>
void simd_add(const float* a, const float* b, float* out, int64_t n) {
  for_vectors<V>(
      n, [&](int64_t i) { (V::load(a + i) + V::load(b + i)).store(out + i); },
      [&](int64_t i, int count) {
        (V::load_first(a + i, count) + V::load_first(b + i, count)).store_first(out + i, count);
      });
}

template <class V>
void simd_scale(const float* x, float factor, float* out, int64_t n) {
  for_vectors<V>(
      n, [&](int64_t i) { (V::load(x + i) * V(factor)).store(out + i); },
      [&](int64_t i, int count) { (V::load_first(x + i, count) * V(factor)).store_first(out + i, count); });
}

}  // namespace
