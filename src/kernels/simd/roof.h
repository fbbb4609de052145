// The loop of an instruction set's arithmetic roofs. Internal linkage: each including file is compiled with flags of
// its own.
#pragma once

#include <cstdint>

// A vector register in an asm statement.
#if defined(__aarch64__)
#define RETORT_VECTOR_REGISTER "w"
#else
#define RETORT_VECTOR_REGISTER "v"
#endif

namespace {

/// Takes sum = step(sum, a, b) for `kChains` independent sums (enough to hide the latency of a step, few enough for the
/// registers), `rounds` times each. Returns the operations done, at `operations` a step.
template <int kChains, class Sum, class Operand, class Step>
inline int64_t run_roof(int64_t rounds, int64_t operations, Operand a, Operand b, Step step) {
  Sum sums[kChains] = {};
#pragma GCC unroll 32
  for (Sum& sum : sums) asm("" : "+" RETORT_VECTOR_REGISTER(sum));  // equal chains would be computed once
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32  // or the sums go through memory
    for (Sum& sum : sums) {
      asm volatile("" : "+" RETORT_VECTOR_REGISTER(a), "+" RETORT_VECTOR_REGISTER(b));  // or products would be shared
      sum = step(sum, a, b);
    }
  }
#pragma GCC unroll 32  // or every round stores them
  for (Sum& sum : sums) asm volatile("" : : RETORT_VECTOR_REGISTER(sum));
  return rounds * kChains * operations;
}

}  // namespace
