// Four floats in a NEON register: the vector type V of the simd/ templates. Baseline ARMv8-A.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace {

inline float half_to_float(uint16_t half) {
  __fp16 value;
  std::memcpy(&value, &half, 2);
  return value;
}

struct Floats {
  static constexpr int kLanes = 4, kGemmVectors = 4;
  float32x4_t v;
  Floats() = default;
  explicit Floats(float x) : v(vdupq_n_f32(x)) {}
  explicit Floats(float32x4_t x) : v(x) {}
  static Floats load(const float* p) { return Floats(vld1q_f32(p)); }
  static Floats load_first(const float* p, int count) {
    float lanes[4] = {};
    for (int i = 0; i < count; ++i) lanes[i] = p[i];
    return load(lanes);
  }
  static Floats load_halves(const uint16_t* p) { return Floats(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))); }
  static Floats load_bfloats(const uint16_t* p) { return Floats(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))); }
  void store_halves(uint16_t* p) const { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
  void store(float* p) const { vst1q_f32(p, v); }
  void store_first(float* p, int count) const {
    float lanes[4];
    store(lanes);
    for (int i = 0; i < count; ++i) p[i] = lanes[i];
  }
  static Floats fma(Floats a, Floats b, Floats c) { return Floats(vfmaq_f32(c.v, a.v, b.v)); }
  static Floats max(Floats a, Floats b) { return Floats(vmaxq_f32(a.v, b.v)); }
  static Floats min(Floats a, Floats b) { return Floats(vminq_f32(a.v, b.v)); }
  static Floats round(Floats a) { return Floats(vrndnq_f32(a.v)); }
  static Floats power_of_two(Floats k) {
    return Floats(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(k.v), vdupq_n_s32(127)), 23)));
  }
  float sum() const { return vaddvq_f32(v); }
  float largest() const { return vmaxvq_f32(v); }
  /// Lane i is the sum of the lanes of v[i], i < 4.
  static Floats sums(const Floats* v) {
    return Floats(vpaddq_f32(vpaddq_f32(v[0].v, v[1].v), vpaddq_f32(v[2].v, v[3].v)));
  }
  friend Floats operator+(Floats a, Floats b) { return Floats(vaddq_f32(a.v, b.v)); }
  friend Floats operator-(Floats a, Floats b) { return Floats(vsubq_f32(a.v, b.v)); }
  friend Floats operator*(Floats a, Floats b) { return Floats(vmulq_f32(a.v, b.v)); }
  friend Floats operator/(Floats a, Floats b) { return Floats(vdivq_f32(a.v, b.v)); }
};

}  // namespace
