// Attention with AVX512-BF16: values are summed in pairs of bf16 where a call may round.
#include "kernels/avx512/floats.h"
#include "kernels/kernels.h"

namespace {

inline float half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}

/// Sixteen pairs of bf16; multiplying adds both products of a pair to one float.
struct FloatPairs : Floats {
  using Floats::Floats;
  FloatPairs(Floats bits) : Floats(bits) {}
  static FloatPairs load(const float* p) { return Floats::load(p); }
  static FloatPairs fma(FloatPairs a, FloatPairs b, FloatPairs sum) {
    return Floats(_mm512_dpbf16_ps(sum.v, bits(a), bits(b)));
  }
  /// Pairs of the lanes of a and b.
  static FloatPairs pack(Floats a, Floats b) {
    alignas(64) static constexpr uint16_t kTurns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b.v, a.v));
    return Floats(_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_load_si512(kTurns), halves)));
  }

 private:
  static __m512bh bits(FloatPairs x) { return reinterpret_cast<__m512bh>(x.v); }
};

}  // namespace

#include "kernels/simd/attention.h"

namespace retort::kernels::avx512 {

void attention_bf16(const AttentionArgs& args) {
  simd_attention<Floats, FloatPairs>(args);
}

}  // namespace retort::kernels::avx512
