// The AVX-512 training kernels, in fp32.
#include "kernels/training.h"

#include "kernels/avx512/floats.h"
#include "kernels/avx512/transpose.h"
#include "kernels/x86/dequantize.h"

#include "kernels/simd/training_table.h"

namespace retort::kernels::avx512 {

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = training_table();

}  // namespace retort::kernels::avx512
