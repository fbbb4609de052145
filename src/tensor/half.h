// Half and bfloat16 conversions in plain integer arithmetic: exact widening, narrowing rounded to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace retort::tensor {

constexpr float half_to_float(uint16_t half) {
  uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  float value = static_cast<float>(fraction) * 0x1p-24f;  // subnormal or zero: exact
  return sign != 0 ? -value : value;
}

constexpr uint16_t float_to_half(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return sign | 0x7e00;   // NaN
  if (bits >= 0x47800000) return sign | 0x7c00;  // 65536 and more, infinity
  if (bits >= 0x38800000) {  // normal halves: round away the low 13 bits, a carry moves the exponent
    uint32_t rounded = bits + 0xfff + (bits >> 13 & 1);
    return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
  }
  if (bits < 0x33000000) return sign;  // below half the smallest subnormal
  uint32_t exponent = bits >> 23, fraction = (bits & 0x7fffff) | 0x800000, shift = 126 - exponent;
  uint32_t kept = fraction >> shift, rest = fraction & ((1u << shift) - 1), middle = 1u << (shift - 1);
  if (rest > middle || (rest == middle && (kept & 1) != 0)) ++kept;
  return static_cast<uint16_t>(sign | kept);
}

constexpr float bfloat16_to_float(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

constexpr uint16_t float_to_bfloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace retort::tensor
