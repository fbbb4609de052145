// Roof: what this machine could do at most, measured: the figures beside which every speed is printed.
#pragma once

#include "base/thread_pool.h"

namespace retort::runtime {

/// All of it with every thread of the pool. 0 where the machine has no such instruction.
struct Roof {
  double read_gb_per_s = 0;  // 10^9 bytes, from a buffer of 1 GiB
  double int8_gops = 0;      // 8-bit multiplications and additions, vector instructions
  double bf16_gflops = 0;    // where there is no bf16 dot product, that of fp32: what the work would run at
  double fp32_gflops = 0;
  double tile_int8_gops = 0;  // on a matrix unit (AMX)
  double tile_bf16_gflops = 0;
};

/// The best of several short runs each; about a second altogether, and 1 GiB of memory while it reads.
Roof measure_roof(base::ThreadPool& pool);

}  // namespace retort::runtime
