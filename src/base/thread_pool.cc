#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace retort::base {
namespace {

int processors_of_this_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Bytes that may be read ahead: a quarter of the second-level cache, so that what is being worked on stays in it.
int64_t read_ahead_limit() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  long size = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size / 4;
#endif
  return 64 * 1024;
}

// About 50 microseconds: longer than the gap between two operations of a forward pass, shorter than a user notices.
constexpr int kSpins = 2000;

// Of thread 0, which goes on with the small operations: 4 KiB of what it will read, in any case.
constexpr int kAtLeast = 16;

}  // namespace

struct ThreadPool::State {
  /// The pieces of a parallel_for that one thread starts on.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  /// What one thread will read. Written between runs by the caller of run(), read by the thread in runs.
  struct alignas(64) Stream {
    const std::byte* begin = nullptr;
    int64_t bytes = 0;
  };
  /// How far a thread has come with its stream.
  struct Reader {
    const std::byte *begin = nullptr, *at = nullptr, *end = nullptr;
    void look(const Stream& stream) {
      if (stream.begin == begin) return;
      begin = at = stream.begin;
      end = begin + stream.bytes;
    }
    /// Four lines; false when all is read.
    bool read() {
      if (at >= end) return false;
      for (int line = 0; line < 4; ++line) __builtin_prefetch(at + 64 * line, 0, 2);
      at += 256;
      return true;
    }
  };
  explicit State(int num_threads)
      : shares(static_cast<size_t>(num_threads)), streams(static_cast<size_t>(num_threads)) {}

  const int64_t limit = read_ahead_limit();
  std::vector<Share> shares;
  std::vector<Stream> streams;
  Reader reader;                                    // of thread 0
  alignas(64) std::atomic<uint64_t> generation{0};  // bumped to start a run
  alignas(64) std::atomic<int> running{0};          // workers that have not finished the current run
  Call call = nullptr;
  void* context = nullptr;
  std::atomic<bool> stop{false};
  std::atomic<int> sleeping{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;

  void work(int thread) {
    uint64_t seen = 0;
    Reader mine;
    while (true) {
      int spins = 0;
      while (generation.load(std::memory_order_acquire) == seen) {
        if (mine.read()) continue;
        if (++spins < kSpins) {
          pause();
          continue;
        }
        std::unique_lock lock(mutex);
        sleeping.fetch_add(1);
        wake.wait(lock, [&] { return generation.load() != seen; });
        sleeping.fetch_sub(1);
      }
      ++seen;
      if (stop.load(std::memory_order_relaxed)) return;
      call(context, thread);
      mine.look(streams[static_cast<size_t>(thread)]);
      running.fetch_sub(1, std::memory_order_release);
    }
  }

  void start() {
    generation.fetch_add(1);
    if (sleeping.load() > 0) {
      std::lock_guard lock(mutex);
      wake.notify_all();
    }
  }
};

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(num_threads > 0 ? num_threads : processors_of_this_process()),
      state_(std::make_unique<State>(num_threads_)) {
  for (int thread = 1; thread < num_threads_; ++thread)
    state_->workers.emplace_back([state = state_.get(), thread] { state->work(thread); });
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->start();
  for (std::thread& worker : state_->workers) worker.join();
}

void ThreadPool::run_erased(Call call, void* context) {
  State& state = *state_;
  if (num_threads_ == 1) {
    call(context, 0);
    return;
  }
  state.call = call;
  state.context = context;
  state.running.store(num_threads_ - 1, std::memory_order_relaxed);
  state.start();
  call(context, 0);
  state.reader.look(state.streams[0]);
  for (int i = 0; i < kAtLeast && state.reader.read(); ++i) {
  }
  for (int spins = 0; state.running.load(std::memory_order_acquire) != 0;) {
    if (state.reader.read()) continue;
    if (++spins < 10 * kSpins)
      pause();
    else
      std::this_thread::yield();  // more threads than free cores: let the workers run
  }
}

void ThreadPool::read_ahead(int thread, const std::byte* begin, int64_t bytes) {
  state_->streams[static_cast<size_t>(thread)] = {begin, std::min(bytes, state_->limit)};
}

void ThreadPool::share_out(int64_t pieces) {
  for (int thread = 0; thread < num_threads_; ++thread) {
    State::Share& share = state_->shares[static_cast<size_t>(thread)];
    share.next.store(pieces * thread / num_threads_, std::memory_order_relaxed);
    share.end = pieces * (thread + 1) / num_threads_;
  }
}

int64_t ThreadPool::take(int thread, int& helped) {
  for (; helped < num_threads_; ++helped) {
    State::Share& share = state_->shares[static_cast<size_t>((thread + helped) % num_threads_)];
    int64_t piece = share.next.fetch_add(1, std::memory_order_relaxed);
    if (piece < share.end) return piece;
  }
  return -1;
}

}  // namespace retort::base
