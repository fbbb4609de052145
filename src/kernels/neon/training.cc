// The NEON training kernels, in fp32: baseline ARMv8-A, for every NEON table.
#include "kernels/training.h"

#include "kernels/neon/dequantize.h"
#include "kernels/neon/floats.h"
#include "kernels/neon/tall_steps.h"
#include "kernels/neon/transpose.h"
#include "kernels/simd/training_table.h"

namespace retort::kernels::neon {

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = training_table<TallSteps>();

}  // namespace retort::kernels::neon
