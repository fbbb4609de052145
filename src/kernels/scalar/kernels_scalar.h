// The scalar reference: what every kernel means, written to be read. Other instruction sets are tested against it.
#pragma once

#include "kernels/kernels.h"

namespace retort::kernels::scalar {

extern const Kernels kTable;
extern const TrainingKernels kTraining;

void quantize_rows(const float* x, int64_t stride, const QuantizedRows& out, int64_t row_begin, int64_t row_end);
void linear(const LinearArgs& args);
int64_t linear_scratch_bytes(tensor::DType dtype, int64_t in_features, int64_t num_tokens);
int64_t linear_row_grain(tensor::DType dtype, int64_t num_tokens);
void attention(const AttentionArgs& args);
int64_t attention_scratch_bytes(int head_dim, int heads_per_kv_head);
void store_kv(KvType type, const float* x, std::byte* out, int64_t n);
void rms_norm(const float* x, const float* weight, float epsilon, float* out, int64_t n);
void rope(RopeLayout layout, const float* x, const float* cosines, const float* sines, float* out, int64_t n);
void gated(Activation activation, const float* gate, const float* up, float* out, int64_t n);
void add(const float* a, const float* b, float* out, int64_t n);
void scale(const float* x, float factor, float* out, int64_t n);

}  // namespace retort::kernels::scalar
