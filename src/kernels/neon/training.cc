// The NEON training kernels, in fp32: baseline ARMv8-A, for every NEON table.
#include "kernels/training.h"

#include "kernels/neon/dequantize.h"
#include "kernels/neon/floats.h"
#include "kernels/neon/transpose.h"
#include "kernels/simd/training_table.h"

namespace retort::kernels::neon {
namespace {

struct TallSteps : FloatSteps {
  static constexpr int kTileRows = 12;  // by two vectors: 24 of the 32 registers hold sums
};

}  // namespace

extern const TrainingKernels kTraining;
const TrainingKernels kTraining = training_table<TallSteps>();

}  // namespace retort::kernels::neon
