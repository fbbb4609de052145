#include "kernels/roof.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/x86/features.h"
#elif defined(__aarch64__)
#include "kernels/neon/features.h"
#endif

namespace retort::kernels {

#if defined(__x86_64__)
// Each defined in the folder of its instruction set.
namespace sse4 {
int64_t roof_int8(int64_t rounds);
}
namespace avx2 {
uint64_t roof_read(const std::byte* data, int64_t bytes);
int64_t roof_int8(int64_t rounds);
int64_t roof_fp32(int64_t rounds);
}  // namespace avx2
namespace avx2_vnni {
int64_t roof_int8(int64_t rounds);
}
namespace avx512 {
uint64_t roof_read(const std::byte* data, int64_t bytes);
int64_t roof_int8(int64_t rounds);
int64_t roof_fp32(int64_t rounds);
}  // namespace avx512
namespace avx512_bf16 {
int64_t roof_bf16(int64_t rounds);
}
namespace amx {
int64_t roof_int8(int64_t rounds);
int64_t roof_bf16(int64_t rounds);
}  // namespace amx
#elif defined(__aarch64__)
namespace neon {
uint64_t roof_read(const std::byte* data, int64_t bytes);
int64_t roof_int8(int64_t rounds);
int64_t roof_fp32(int64_t rounds);
}  // namespace neon
namespace neon_dotprod {
int64_t roof_int8(int64_t rounds);
}
namespace neon_i8mm {
int64_t roof_int8(int64_t rounds);
}
namespace neon_bf16 {
int64_t roof_bf16(int64_t rounds);
}
#endif

namespace {

uint64_t read_words(const std::byte* data, int64_t bytes) {
  uint64_t sums[8] = {};
  int64_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    uint64_t words[8];
    std::memcpy(words, data + i, 64);
    for (int j = 0; j < 8; ++j) sums[j] ^= words[j];
  }
  for (; i < bytes; ++i) sums[0] ^= static_cast<uint64_t>(data[i]);
  for (int j = 1; j < 8; ++j) sums[0] ^= sums[j];
  return sums[0];
}

constexpr int kChains = 48;  // independent sums: enough to hide the latency of an addition in vectors of any width

int64_t multiply_floats(int64_t rounds) {
  float sums[kChains] = {};
  float a = 0.5f, b = 1.25f;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(a), "+m"(b));
    for (float& sum : sums) sum = sum * a + b;
  }
  asm volatile("" : : "m"(sums));
  return rounds * kChains * 2;
}

int64_t multiply_bytes(int64_t rounds) {
  int32_t sums[kChains] = {};
  int8_t a = 3, b = 5;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(a), "+m"(b));
    for (int32_t& sum : sums) sum += a * b + (sum & 1);
  }
  asm volatile("" : : "m"(sums));
  return rounds * kChains * 2;
}

#if defined(__x86_64__)
struct AmxFeatures {
  bool int8 = false, bf16 = false;
};

/// What the matrix unit can do; asks the system for its use, which Linux grants per process.
AmxFeatures amx_features() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  if ((d & kTile) == 0) return {};
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  if (::syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return {};
  return {(d & kInt8) != 0, (d & kBf16) != 0};
}
#endif

RoofLoops find_loops() {
  RoofLoops loops{.read = read_words, .int8 = multiply_bytes, .fp32 = multiply_floats};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("ssse3")) loops.int8 = sse4::roof_int8;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    loops.read = avx2::roof_read;
    loops.int8 = has_avx_vnni() ? avx2_vnni::roof_int8 : avx2::roof_int8;
    loops.fp32 = avx2::roof_fp32;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni")) {
    loops.read = avx512::roof_read;
    loops.int8 = avx512::roof_int8;
    loops.fp32 = avx512::roof_fp32;
    if (has_avx512_bf16()) loops.bf16 = avx512_bf16::roof_bf16;
    AmxFeatures amx = amx_features();
    if (amx.int8) loops.tile_int8 = amx::roof_int8;
    if (amx.bf16) loops.tile_bf16 = amx::roof_bf16;
  }
#elif defined(__aarch64__)
  loops = {.read = neon::roof_read, .int8 = neon::roof_int8, .fp32 = neon::roof_fp32};
  if (has_dotprod()) loops.int8 = neon_dotprod::roof_int8;
  if (has_i8mm()) loops.int8 = neon_i8mm::roof_int8;
  if (has_bf16()) loops.bf16 = neon_bf16::roof_bf16;
#endif
  return loops;
}

}  // namespace

const RoofLoops& roof_loops() {
  static const RoofLoops loops = find_loops();
  return loops;
}

}  // namespace retort::kernels
