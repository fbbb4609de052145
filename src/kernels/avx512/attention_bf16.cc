// Attention with AVX512-BF16: products take pairs of bf16 where a call may round.
#include "kernels/avx512/bfloat_pairs.h"
#include "kernels/avx512/transpose.h"
#include "kernels/kernels.h"

namespace {

/// Sixteen pairs of bf16; multiplying adds both products of a pair to one float.
struct FloatPairs : Floats {
  using Floats::Floats;
  FloatPairs(Floats bits) : Floats(bits) {}
  static FloatPairs load(const float* p) { return Floats::load(p); }
  static FloatPairs fma(FloatPairs a, FloatPairs b, FloatPairs sum) {
    return Floats(_mm512_dpbf16_ps(sum.v, bits(a), bits(b)));
  }
  /// Pairs of the lanes of a and b.
  static FloatPairs pack(Floats a, Floats b) { return Floats(_mm512_castsi512_ps(bfloat_pairs(a, b))); }
  /// Pairs of neighbouring lanes, a's before b's.
  static FloatPairs pack_neighbours(Floats a, Floats b) {
    return Floats(_mm512_castsi512_ps(reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b.v, a.v))));
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
