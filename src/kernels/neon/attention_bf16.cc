// Attention with FEAT_BF16: products take pairs of bf16 where a call may round.
#include "kernels/kernels.h"
#include "kernels/neon/bfloat_pairs.h"
#include "kernels/neon/transpose.h"

namespace {

/// Four pairs of bf16; multiplying adds both products of a pair to one float.
struct FloatPairs : Floats {
  using Floats::Floats;
  FloatPairs(Floats bits) : Floats(bits) {}
  static FloatPairs load(const float* p) { return Floats::load(p); }
  static FloatPairs fma(FloatPairs a, FloatPairs b, FloatPairs sum) {
    return add_products(sum, vreinterpretq_u32_f32(a.v), vreinterpretq_u32_f32(b.v));
  }
  /// Pairs of the lanes of a and b.
  static FloatPairs pack(Floats a, Floats b) {
    return Floats(vreinterpretq_f32_u32(bfloat_pairs(bfloats(a), bfloats(b))));
  }
  /// Pairs of neighbouring lanes, a's before b's.
  static FloatPairs pack_neighbours(Floats a, Floats b) {
    return Floats(vreinterpretq_f32_u16(vcombine_u16(bfloats(a), bfloats(b))));
  }
};

}  // namespace

#include "kernels/simd/attention.h"

namespace retort::kernels::neon_bf16 {

void attention(const AttentionArgs& args) {
  simd_attention<Floats, FloatPairs>(args);
}

}  // namespace retort::kernels::neon_bf16
