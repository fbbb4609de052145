// Activations to 8 bits with AVX2, and the choice of the kernel for each weight type.
// The including file defines dot_u8s8 and Isa (x86/gemv.h, x86/tile.h) first.
#pragma once

#include "kernels/simd/float_linear.h"
#include "kernels/x86/gemv.h"
#include "kernels/x86/tile.h"

namespace {

inline int32_t sum_bytes16(__m128i bytes) {  // signed
  __m128i biased = _mm_xor_si128(bytes, _mm_set1_epi8(-128));
  __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_srli_si128(sums, 8))) - 128 * 16;
}

void quantize_rows(const float* x, int64_t stride, const retort::kernels::QuantizedRows& out, int64_t row_begin,
                   int64_t row_end) {
  int64_t blocks = out.cols / 32;
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* values = x + row * stride + block * 32;
      __m256 v[4];
      __m256 most = _mm256_setzero_ps();
      for (int i = 0; i < 4; ++i) {
        v[i] = _mm256_loadu_ps(values + 8 * i);
        most = _mm256_max_ps(_mm256_and_ps(v[i], magnitude), most);  // a NaN in the first operand gives the second
      }
      __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
      m = _mm_max_ps(m, _mm_movehl_ps(m, m));
      float largest = _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
      float scale = largest / 127;
      float inverse = largest > 0 && largest <= 3.402823466e38f ? 127 / largest : 0;
      __m256i q[4];
      for (int i = 0; i < 4; ++i) {
        __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
        scaled = _mm256_and_ps(scaled, _mm256_cmp_ps(scaled, scaled, _CMP_ORD_Q));
        scaled = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
        q[i] = _mm256_cvtps_epi32(scaled);
      }
      __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
      packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.quants + row * out.cols + block * 32), packed);
      int32_t low = sum_bytes16(_mm256_castsi256_si128(packed)),
              high = sum_bytes16(_mm256_extracti128_si256(packed, 1));
      int64_t at = row * blocks + block;
      out.scales[at] = scale;
      out.sums32[at] = scale * static_cast<float>(low + high);
      out.offsets32[at] = -128 * (low + high);
      out.sums16[2 * at] = scale * static_cast<float>(low);
      out.sums16[2 * at + 1] = scale * static_cast<float>(high);
      out.offsets16[2 * at] = -128 * low;
      out.offsets16[2 * at + 1] = -128 * high;
    }
  }
}

constexpr int64_t kTileFromTokens = 4;

template <class T>
void quantized_linear(const retort::kernels::LinearArgs& args) {
  if constexpr (!Isa::kFewTokensElsewhere) {
    switch (args.num_tokens) {
      case 1:
        return gemv<T, 1>(args);
      case 2:
        return gemv<T, 2>(args);
      case 3:
        return gemv<T, 3>(args);
      default:
        break;
    }
  }
  if (args.num_tokens > 0) tile_linear<T>(args);
}

template <class V>
void any_linear(const retort::kernels::LinearArgs& args) {
  using retort::tensor::DType;
  switch (args.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return float_linear<V>(args);
    case DType::kQ4_0:
      return quantized_linear<Q4_0>(args);
    case DType::kQ4_1:
      return quantized_linear<Q4_1>(args);
    case DType::kQ5_0:
      return quantized_linear<Q5_0>(args);
    case DType::kQ5_1:
      return quantized_linear<Q5_1>(args);
    case DType::kQ8_0:
      return quantized_linear<Q8_0>(args);
    case DType::kQ2_K:
      return quantized_linear<Q2_K>(args);
    case DType::kQ3_K:
      return quantized_linear<Q3_K>(args);
    case DType::kQ4_K:
      return quantized_linear<Q4_K>(args);
    case DType::kQ5_K:
      return quantized_linear<Q5_K>(args);
    case DType::kQ6_K:
      return quantized_linear<Q6_K>(args);
    case DType::kIQ4_NL:
      return quantized_linear<IQ4_NL>(args);
    case DType::kIQ4_XS:
      return quantized_linear<IQ4_XS>(args);
  }
}

int64_t any_linear_scratch_bytes(retort::tensor::DType dtype, int64_t in_features, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return 4 * kFloatRows * in_features;
  if (num_tokens < kTileFromTokens) return 0;
  return in_features * Isa::kRows + 2 * 4 * (in_features / 16) * Isa::kRows;  // the finest scales: one per 16
}

int64_t any_linear_row_grain(retort::tensor::DType dtype, int64_t num_tokens) {
  if (!retort::tensor::info(dtype).quantized) return kFloatRows;
  return num_tokens < kTileFromTokens ? 8 : Isa::kRows;
}

}  // namespace
