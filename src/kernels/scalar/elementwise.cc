// Scalar norms, rotations and element-wise operations.
#include <cmath>

#include "kernels/scalar/kernels_scalar.h"

namespace retort::kernels::scalar {
namespace {

float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGeluTanh:  // Hendrycks & Gimpel (2016), the tanh approximation that Gemma was trained with
      return 0.5f * x * (1 + std::tanh(0.7978845608028654f * x * (1 + 0.044715f * x * x)));
  }
  return x;
}

}  // namespace

void rms_norm(const float* x, const float* weight, float epsilon, float* out, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  auto inverse = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(n) + epsilon));
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i];
}

void rope(RopeLayout layout, const float* x, const float* cosines, const float* sines, float* out, int64_t n) {
  int64_t half = n / 2;
  for (int64_t i = 0; i < half; ++i) {
    int64_t first = layout == RopeLayout::kInterleaved ? 2 * i : i;
    int64_t second = layout == RopeLayout::kInterleaved ? 2 * i + 1 : i + half;
    float a = x[first], b = x[second];
    out[first] = a * cosines[i] - b * sines[i];
    out[second] = a * sines[i] + b * cosines[i];
  }
}

void gated(Activation activation, const float* gate, const float* up, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = activate(activation, gate[i]) * up[i];
}

void add(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void scale(const float* x, float factor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor;
}

}  // namespace retort::kernels::scalar
