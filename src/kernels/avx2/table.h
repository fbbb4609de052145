// A table of 256-bit vectors, with or without AVX-VNNI. Each including file defines kTable as
// avx2_table<its few_tokens_tiles>("its name").
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/floats.h"
#include "kernels/avx2/lanes.h"
#include "kernels/avx2/quantize_rows.h"
#include "kernels/avx2/transpose.h"

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

/// Tiles of 8 weight rows by up to kTokens tokens.
struct Isa {
  static constexpr int kTokens = 6;
#ifdef __AVXVNNI__
  static constexpr bool kRebases = true;
#else
  static constexpr bool kRebases = false;  // sums of pairs want small quants
#endif

  /// rows[r] holds 8 dwords; vector j of `out` gets dword j of all 8 rows.
  static void store_rows(const __m256i* rows, uint8_t* out) {
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

template <void (*kFewTokensTiles)(const retort::kernels::LinearArgs&)>
void linear(const retort::kernels::LinearArgs& args) {
  if (is_for_few_tokens(args)) return kFewTokensTiles(args);
  any_linear<Floats>(args);
}

/// `kFewTokensTiles` computes up to kFewTokens tokens by at least eight weight rows.
template <void (*kFewTokensTiles)(const retort::kernels::LinearArgs&)>
constexpr retort::kernels::Kernels avx2_table(std::string_view name) {
  retort::kernels::Kernels table = simd_table(name, &retort::kernels::avx2::kTraining);
  table.quantize_rows = quantize_rows<FloatBlock>;
  table.linear = linear<kFewTokensTiles>;
  table.linear_scratch_bytes = any_linear_scratch_bytes;
  table.linear_row_grain = any_linear_row_grain;
  return table;
}

}  // namespace
