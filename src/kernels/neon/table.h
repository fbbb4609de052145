// The rest of a NEON table and the table itself. Each table's file defines Isa, then includes this, then defines
// kTable as neon_table("its name").
#pragma once

#include "kernels/neon/linear.h"
#include "kernels/neon/quantize_rows.h"
#include "kernels/neon/transpose.h"
#include "kernels/simd/table.h"

namespace retort::kernels::neon {
extern const TrainingKernels kTraining;  // training.cc
}

namespace {

constexpr retort::kernels::Kernels neon_table(std::string_view name) {
  retort::kernels::Kernels table = simd_table(name, &retort::kernels::neon::kTraining);
  table.quantize_rows = quantize_rows<FloatBlock>;
  table.linear = any_linear;
  table.linear_scratch_bytes = any_linear_scratch_bytes;
  table.linear_row_grain = any_linear_row_grain;
  return table;
}

}  // namespace
