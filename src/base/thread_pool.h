// ThreadPool: a fixed team of threads that run one function together, again and again, with little delay between runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace retort::base {

/// A team of `num_threads` threads, the caller being thread 0. Workers spin for a short time after each run, then
/// sleep, so that back-to-back runs (the layers of a model) cost about a microsecond each and an idle program costs
/// nothing. run() may be called from one thread at a time; runs do not nest. Functions must not throw.
class ThreadPool {
 public:
  /// `num_threads` of 0 means one per processor this process may use.
  explicit ThreadPool(int num_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  /// Says, before a run, what `thread` will read after it: while it waits, in this run and the following ones, it
  /// brings that into its second-level cache, as far as a share of that goes. A hint: addresses are never dereferenced.
  void read_ahead(int thread, const std::byte* begin, int64_t bytes);

  /// Calls `function(thread)` once on every thread, thread = 0 .. num_threads-1, and returns when all are done.
  template <class F>
  void run(F&& function) {
    auto call = [](void* context, int thread) { (*static_cast<std::remove_reference_t<F>*>(context))(thread); };
    run_erased(call, const_cast<void*>(static_cast<const void*>(&function)));
  }

  /// Splits [0, count) into pieces of at least `grain` and calls `function(begin, end, thread)` for each. Every thread
  /// starts on a run of neighbouring pieces of its own, so that it reads memory in one stream; when that is done it
  /// helps the others. No allocation. Pieces are the same for every number of threads; which thread runs one is not.
  template <class F>
  void parallel_for(int64_t count, int64_t grain, F&& function) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    int64_t pieces = (count + grain - 1) / grain;
    if (pieces == 1 || num_threads_ == 1) {
      for (int64_t piece = 0; piece < pieces; ++piece) {
        int64_t begin = piece * grain;
        function(begin, begin + grain < count ? begin + grain : count, 0);
      }
      return;
    }
    share_out(pieces);
    run([&](int thread) {
      int helped = 0;
      for (int64_t piece = take(thread, helped); piece >= 0; piece = take(thread, helped)) {
        int64_t begin = piece * grain;
        function(begin, begin + grain < count ? begin + grain : count, thread);
      }
    });
  }

 private:
  struct State;
  using Call = void (*)(void* context, int thread);
  void run_erased(Call call, void* context);
  void share_out(int64_t pieces);
  /// The next piece for `thread`, or -1 when there are none left. `helped` counts the shares it has seen the end of.
  int64_t take(int thread, int& helped);

  int num_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace retort::base
