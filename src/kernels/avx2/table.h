// The rest of a table of 256-bit vectors, and the table itself. Each table's file defines dot_u8s8, then includes this,
// then defines kTable as avx2_table("its name").
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/floats.h"
#include "kernels/avx2/quantize_rows.h"
#include "kernels/avx2/transpose.h"

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

/// Tiles of 8 weight rows by up to 4 tokens.
struct Isa {
  using I = __m256i;
  using F = __m256;
  static constexpr int kRows = 8, kTokens = 4;
  static constexpr bool kStartsFromOffset = false, kFewTokensElsewhere = false;
  static F zero() { return _mm256_setzero_ps(); }
  static I zero_int() { return _mm256_setzero_si256(); }
  static I broadcast(const int32_t* p) { return _mm256_set1_epi32(*p); }
  static I load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  template <bool kWide>
  static I dot(I sum, I weights, const int8_t* four) {
    int32_t bytes;
    __builtin_memcpy(&bytes, four, 4);
    return dot_u8s8<kWide>(sum, weights, _mm256_set1_epi32(bytes));
  }
  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, const float* factor, F sum) { return _mm256_fmadd_ps(a, _mm256_set1_ps(*factor), sum); }

  /// rows[r] holds 8 dwords; vector j of `out` gets dword j of all 8 rows.
  static void store_transposed(const __m256i* rows, uint8_t* out) {
    __m256i a[8], b[8];
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
      b[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) {
        a[4 * i + 2 * j] = _mm256_unpacklo_epi64(b[4 * i + j], b[4 * i + 2 + j]);
        a[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(b[4 * i + j], b[4 * i + 2 + j]);
      }
    for (int k = 0; k < 4; ++k) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * k), _mm256_permute2x128_si256(a[k], a[4 + k], 0x20));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * (k + 4)),
                          _mm256_permute2x128_si256(a[k], a[4 + k], 0x31));
    }
  }
};

}  // namespace

#include "kernels/simd/table.h"
#include "kernels/x86/linear.h"

namespace retort::kernels::avx2 {
extern const TrainingKernels kTraining;  // training.cc
}

namespace {

constexpr retort::kernels::Kernels avx2_table(std::string_view name) {
  retort::kernels::Kernels table = simd_table(name, &retort::kernels::avx2::kTraining);
  table.quantize_rows = quantize_rows;
  table.linear = any_linear<Floats>;
  table.linear_scratch_bytes = any_linear_scratch_bytes;
  table.linear_row_grain = any_linear_row_grain;
  return table;
}

}  // namespace
