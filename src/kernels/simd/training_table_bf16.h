// The training kernels of an instruction set that also multiplies pairs of bf16: E says how (simd/matmul.h), F how
// products in fp32 go. Products in bf16 read their left factor packed.
#pragma once

#include "kernels/simd/training_table.h"

namespace {

inline bool in_bf16(const retort::kernels::MatmulArgs& args) {
  return args.precision == retort::kernels::Precision::kBfloat16;
}

template <class E, class F = FloatSteps>
constexpr retort::kernels::TrainingKernels training_table_bf16() {
  using retort::kernels::MatmulArgs;
  retort::kernels::TrainingKernels table = training_table<F>();
  table.matmul = [](const MatmulArgs& args) {
    if (in_bf16(args)) return simd_matmul<Floats, E>(args);
    simd_matmul<Floats, F>(args);
  };
  table.matmul_packed_bytes = [](const MatmulArgs& args) -> int64_t {
    if (!in_bf16(args)) return 0;
    return 4 * (args.a_transposed ? (args.depth + 1) / 2 * packed_stride<Floats>(args.a_rows)
                                  : args.a_rows * ((args.depth + 1) / 2));
  };
  table.matmul_pack = pack_left<Floats, E>;
  table.matmul_pack_units = [](const MatmulArgs& args) -> int64_t {
    if (!in_bf16(args)) return 0;
    return args.a_transposed ? (args.depth + 1) / 2 : args.a_rows;
  };
  return table;
}

}  // namespace
