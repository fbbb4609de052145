// Stored rows as floats, eight at a time, through the types of quants.h.
#pragma once

#include <utility>

#include "kernels/dequantize.h"
#include "kernels/x86/quants.h"

namespace {

template <class T>
void quantized_floats(const uint8_t* row, float* out, int64_t blocks) {
  constexpr int kVectors = T::kGroup == 32 ? 1 : 2, kParts = 32 / T::kGroup;
  for (; blocks > 0; blocks -= 8, row += T::kBytes, out += 256) {
    int count = static_cast<int>(blocks < 8 ? blocks : 8);
    __m256 dv[kVectors], mv[kVectors];
    T::scales(row, count, dv, mv);
    alignas(32) float d[8 * kVectors], m[8 * kVectors];
    for (int v = 0; v < kVectors; ++v) {
      _mm256_store_ps(d + 8 * v, dv[v]);
      if constexpr (T::kHasMin)
        _mm256_store_ps(m + 8 * v, mv[v]);
      else
        _mm256_store_ps(m + 8 * v, _mm256_mul_ps(dv[v], _mm256_set1_ps(-static_cast<float>(T::kOffset))));
    }
    auto step = [&](auto index) {
      constexpr int S = decltype(index)::value;
      if (S >= count) return;
      alignas(32) uint8_t quants[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(quants), T::template quants<S>(row));
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        int group = S * kParts + i * kParts / 4;
        __m256 q =
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(quants + 8 * i))));
        _mm256_storeu_ps(out + 32 * S + 8 * i,
                         _mm256_fmadd_ps(q, _mm256_broadcast_ss(d + group), _mm256_broadcast_ss(m + group)));
      }
    };
    [&]<int... S>(std::integer_sequence<int, S...>) {
      (step(std::integral_constant<int, S>{}), ...);
    }
    (std::make_integer_sequence<int, 8>{});
  }
}

/// n elements, a whole number of blocks, of a row of any type but F32.
void stored_floats(retort::tensor::DType dtype, const std::byte* stored, float* out, int64_t n) {
  using retort::tensor::DType;
  const auto* row = reinterpret_cast<const uint8_t*>(stored);
  switch (dtype) {
    case DType::kQ4_0:
      return quantized_floats<Q4_0>(row, out, n / 32);
    case DType::kQ4_1:
      return quantized_floats<Q4_1>(row, out, n / 32);
    case DType::kQ5_0:
      return quantized_floats<Q5_0>(row, out, n / 32);
    case DType::kQ5_1:
      return quantized_floats<Q5_1>(row, out, n / 32);
    case DType::kQ8_0:
      return quantized_floats<Q8_0>(row, out, n / 32);
    case DType::kQ4_K:
      return quantized_floats<Q4_K>(row, out, n / 32);
    case DType::kQ5_K:
      return quantized_floats<Q5_K>(row, out, n / 32);
    case DType::kQ6_K:
      return quantized_floats<Q6_K>(row, out, n / 32);
    case DType::kF16:
      for (int64_t i = 0; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load16(row + 2 * i)));
      for (int64_t i = n / 8 * 8; i < n; ++i) out[i] = load_half(row + 2 * i);
      return;
    case DType::kBF16:
      for (int64_t i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(row + 2 * i)), 16)));
      for (int64_t i = n / 8 * 8; i < n; ++i) {
        uint32_t bits = static_cast<uint32_t>(load_u16(row + 2 * i)) << 16;
        std::memcpy(out + i, &bits, 4);
      }
      return;
    default:
      return retort::kernels::dequantize_row(dtype, stored, out, n);
  }
}

}  // namespace
