// What this processor has beyond baseline ARMv8-A.
#pragma once

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace retort::kernels {

#if defined(__aarch64__)
inline bool has_dotprod() {
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
inline bool has_i8mm() {
  return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
inline bool has_bf16() {
  return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
}
#else  // RETORT_NEON_ON_X86: tests/neon_on_x86/arm_neon.h has them all
inline bool has_dotprod() {
  return true;
}
inline bool has_i8mm() {
  return true;
}
inline bool has_bf16() {
  return true;
}
#endif

}  // namespace retort::kernels
