// The AVX2 training kernels, in fp32.
#include "kernels/training.h"

#include "kernels/avx2/floats.h"
#include "kernels/avx2/transpose.h"
#include "kernels/x86/dequantize.h"

#include "kernels/simd/training_table.h"

namespace retort::kernels::avx2 {

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = training_table();

}  // namespace retort::kernels::avx2
