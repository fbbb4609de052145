#include "runtime/roof.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "kernels/roof.h"

namespace retort::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double measure_read(base::ThreadPool& pool) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  constexpr int kRepeats = 5;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  ::madvise(memory, kBytes, MADV_HUGEPAGE);
  auto* data = static_cast<std::byte*>(memory);
  int64_t share = kBytes / pool.num_threads() / 4096 * 4096;
  pool.run([&](int thread) { std::memset(data + thread * share, thread + 1, static_cast<size_t>(share)); });
  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Clock::time_point start = Clock::now();
    pool.run([&](int thread) { sink += kernels::roof_loops().read(data + thread * share, share); });
    best = std::max(best, static_cast<double>(share * pool.num_threads()) / seconds_since(start));
  }
  ::munmap(memory, kBytes);
  return best / 1e9;
}

double measure_loop(base::ThreadPool& pool, int64_t (*loop)(int64_t)) {
  if (loop == nullptr) return 0;
  constexpr int kRepeats = 5;
  constexpr double kSeconds = 0.02;  // of one run: long enough to ignore the start of the threads
  int64_t rounds = 1024;
  for (double seconds = 0; seconds < kSeconds; rounds *= 2) {
    Clock::time_point start = Clock::now();
    loop(rounds);
    seconds = seconds_since(start);
  }
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::atomic<int64_t> operations{0};
    Clock::time_point start = Clock::now();
    pool.run([&](int) { operations += loop(rounds); });
    best = std::max(best, static_cast<double>(operations.load()) / seconds_since(start));
  }
  return best / 1e9;
}

}  // namespace

Roof measure_roof(base::ThreadPool& pool) {
  const kernels::RoofLoops& loops = kernels::roof_loops();
  Roof roof;
  roof.read_gb_per_s = measure_read(pool);
  roof.int8_gops = measure_loop(pool, loops.int8);
  roof.fp32_gflops = measure_loop(pool, loops.fp32);
  roof.bf16_gflops = loops.bf16 != nullptr ? measure_loop(pool, loops.bf16) : roof.fp32_gflops;
  roof.tile_int8_gops = measure_loop(pool, loops.tile_int8);
  roof.tile_bf16_gflops = measure_loop(pool, loops.tile_bf16);
  return roof;
}

}  // namespace retort::runtime
