// The SSE4.1 training kernels, in fp32.
#include "kernels/training.h"

#include "kernels/dequantize.h"
#include "kernels/sse4/floats.h"
#include "kernels/sse4/transpose.h"

namespace {

/// n elements, a whole number of blocks, of a row of any type but F32.
void stored_floats(retort::tensor::DType dtype, const std::byte* stored, float* out, int64_t n) {
  retort::kernels::dequantize_row(dtype, stored, out, n);
}

}  // namespace

#include "kernels/simd/training_table.h"

namespace retort::kernels::sse4 {

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = training_table();

}  // namespace retort::kernels::sse4
