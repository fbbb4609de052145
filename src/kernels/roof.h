// Roofs: loops that do nothing but read memory or multiply, as fast as one core can. What they reach is the limit that
// every kernel is judged against; measure_roof() (runtime/roof.h) runs them on all threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retort::kernels {

/// The fastest loops of this machine, whatever RETORT_ISA says. Each arithmetic loop runs `rounds` rounds on operands
/// that stay in registers and returns the number of operations done (a multiply-add counts as two); null where the
/// machine has no such instruction.
struct RoofLoops {
  /// Reads every byte once; returns a value that depends on all of them, so that no read can be left out.
  uint64_t (*read)(const std::byte* data, int64_t bytes) = nullptr;
  int64_t (*int8)(int64_t rounds) = nullptr;  // 8-bit products summed in 32 bits: dpbusd, or what comes closest
  int64_t (*bf16)(int64_t rounds) = nullptr;  // bf16 products summed in fp32
  int64_t (*fp32)(int64_t rounds) = nullptr;
  int64_t (*tile_int8)(int64_t rounds) = nullptr;  // the same on a matrix unit (AMX)
  int64_t (*tile_bf16)(int64_t rounds) = nullptr;
};

/// Found once, at the first call. Thread-safe.
const RoofLoops& roof_loops();

}  // namespace retort::kernels
