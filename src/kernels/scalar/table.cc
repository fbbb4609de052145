#include "kernels/dequantize.h"
#include "kernels/scalar/kernels_scalar.h"

namespace retort::kernels::scalar {

const Kernels kTable = {
    .name = "scalar",
    .quantize_rows = quantize_rows,
    .linear = linear,
    .linear_scratch_bytes = linear_scratch_bytes,
    .linear_row_grain = linear_row_grain,
    .attention = attention,
    .attention_scratch_bytes = attention_scratch_bytes,
    .store_kv = store_kv,
    .rms_norm = rms_norm,
    .rope = rope,
    .gated = gated,
    .add = add,
    .scale = scale,
    .dequantize_row = dequantize_row,
    .training = &kTraining,
};

}  // namespace retort::kernels::scalar
