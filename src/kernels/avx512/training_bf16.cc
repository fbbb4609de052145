// The AVX-512 training kernels with bf16 products where they are asked for.
#include "kernels/training.h"

#include "kernels/avx512/bfloat_pairs.h"
#include "kernels/avx512/transpose.h"
#include "kernels/x86/dequantize.h"

namespace {

/// Two bf16 a step.
struct BfloatSteps {
  static constexpr int kPair = 2, kTileRows = 12;
  using Steps = __m512i;
  static Steps load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static Steps broadcast(const uint32_t* p) { return _mm512_set1_epi32(static_cast<int>(*p)); }
  static Steps interleave(Floats even, Floats odd) { return bfloat_pairs(even, odd); }
  static Steps interleave_stored(const std::byte* even, const std::byte* odd) {
    __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)));
    __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd)));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
  static void store(Steps steps, uint32_t* p) { _mm512_storeu_si512(p, steps); }
  static Floats multiply_add(Floats sum, Steps a, Steps b) {
    return Floats(_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
  }
  static void convert(const float* x, uint32_t* out, int64_t n) {
    for (int64_t i = 0; i < n; i += 32) {
      int first = static_cast<int>(n - i < 16 ? n - i : 16),
          second = static_cast<int>(n - i - 16 < 16 ? n - i - 16 : 16);
      Floats low = Floats::load_first(x + i, first), high = Floats(0.0f);
      if (second > 0) high = Floats::load_first(x + i + 16, second);
      auto pairs = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
      int steps = static_cast<int>(n - i >= 32 ? 16 : (n - i + 1) / 2);
      _mm512_mask_storeu_epi32(out + i / 2, Floats::first(steps), pairs);
    }
  }
  static void transpose(const uint32_t* const* rows, uint32_t* out, int64_t stride) {
    transpose_steps(rows, out, stride);
  }
};

}  // namespace

#include "kernels/simd/training_table_bf16.h"

namespace retort::kernels::avx512 {

extern const TrainingKernels kBfloatTraining;
constinit const TrainingKernels kBfloatTraining = training_table_bf16<BfloatSteps>();

}  // namespace retort::kernels::avx512
