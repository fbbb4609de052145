// Every kernel of the active instruction set (RETORT_ISA), on all processors, each beside its roof:
//   kernels_bench --benchmark_filter='linear/Q4_1'
// GB/s and GOPS count the weights (or keys and values) read and the multiply-adds done; of_roof is the larger of their
// shares of the machine's read bandwidth and peak, so what is in cache may exceed 1.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/huge_pages.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "runtime/roof.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

using namespace retort;
using namespace retort::kernels;

namespace {

base::ThreadPool& pool() {
  static base::ThreadPool threads;
  return threads;
}

const runtime::Roof& roof() {
  static const runtime::Roof measured = runtime::measure_roof(pool());
  return measured;
}

/// Zeroed memory, 64-byte aligned, in huge pages where it is large, as a model file is where the file system can.
class Memory {
 public:
  explicit Memory(int64_t bytes) : storage_(static_cast<size_t>(bytes)) {}
  std::byte* data() { return storage_.data(); }
  float* floats() { return reinterpret_cast<float*>(data()); }

 private:
  base::HugeVector<std::byte> storage_;
};

void fill_normal(float* values, int64_t n, uint64_t seed) {
  base::Random random(seed);
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(random.normal());
}

void report(benchmark::State& state, double bytes, double operations, double peak_gops) {
  auto per_second = [&](double amount) {
    return benchmark::Counter(amount * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
  };
  state.counters["GB/s"] = per_second(bytes);
  state.counters["GOPS"] = per_second(operations);
  double seconds_at_roof = std::max(bytes / (roof().read_gb_per_s * 1e9), operations / (peak_gops * 1e9));
  state.counters["of_roof"] =
      benchmark::Counter(seconds_at_roof * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

/// A matrix with `cols` columns of about `bytes` times `tokens` rows of activations.
void linear(benchmark::State& state, tensor::DType dtype, int64_t tokens, int64_t cols, int64_t bytes) {
  const Kernels& k = active();
  int64_t row_bytes = tensor::row_bytes(dtype, cols), rows = bytes / row_bytes / 64 * 64;
  Memory weights(rows * row_bytes);
  std::memset(weights.data(), 0x3c, static_cast<size_t>(rows * row_bytes));  // halves of 0x3c3c: about 1
  Memory input(tokens * cols * 4), output(tokens * rows * 4), quantized(QuantizedRows::bytes(tokens, cols));
  fill_normal(input.floats(), tokens * cols, 1);
  QuantizedRows x = QuantizedRows::at(quantized.data(), tokens, cols);
  k.quantize_rows(input.floats(), cols, x, 0, tokens);
  int64_t scratch_bytes = k.linear_scratch_bytes(dtype, cols, tokens) + 64;
  scratch_bytes = (scratch_bytes + 63) / 64 * 64;
  Memory scratch(scratch_bytes * pool().num_threads());
  int64_t grain = k.linear_row_grain(dtype, tokens);
  int64_t piece = std::max<int64_t>(grain, rows / (8 * pool().num_threads()) / grain * grain);
  for (auto _ : state) {
    pool().parallel_for(rows, piece, [&](int64_t begin, int64_t end, int thread) {
      LinearArgs args;
      args.dtype = dtype;
      args.weights = weights.data();
      args.in_features = cols;
      args.row_begin = begin;
      args.row_end = end;
      args.num_tokens = tokens;
      args.input = input.floats();
      args.input_stride = cols;
      args.quantized = &x;
      args.output = output.floats();
      args.output_stride = rows;
      args.scratch = scratch.data() + thread * scratch_bytes;
      args.may_round = tokens > 16;  // as for a prompt
      k.linear(args);
    });
  }
  report(state, static_cast<double>(rows * row_bytes), 2.0 * static_cast<double>(rows * cols * tokens),
         tensor::info(dtype).quantized ? roof().int8_gops : roof().fp32_gflops);
}

/// One layer of SmolLM2's shape: 9 heads on 3 of 64, keys and values in fp16.
void attention(benchmark::State& state, int64_t queries, int64_t past) {
  constexpr int kHeads = 9, kKvHeads = 3, kHeadDim = 64;
  const Kernels& k = active();
  int64_t keys = past + queries, dim = kHeads * kHeadDim, row_bytes = kv_row_bytes(KvType::kF16, kHeadDim);
  Memory cache(2 * kKvHeads * keys * row_bytes), input(queries * dim * 4), output(queries * dim * 4);
  std::memset(cache.data(), 0x2c, static_cast<size_t>(2 * kKvHeads * keys * row_bytes));
  fill_normal(input.floats(), queries * dim, 1);
  int64_t scratch_bytes = (k.attention_scratch_bytes(kHeadDim, kHeads / kKvHeads) + 63) / 64 * 64;
  Memory scratch(scratch_bytes * pool().num_threads());
  int64_t blocks = (queries + AttentionArgs::kMaxQueries - 1) / AttentionArgs::kMaxQueries;
  for (auto _ : state) {
    pool().parallel_for(blocks * kKvHeads, 1, [&](int64_t begin, int64_t, int thread) {
      AttentionArgs args;
      args.query_begin = begin / kKvHeads * AttentionArgs::kMaxQueries;
      args.query_end = std::min(queries, args.query_begin + AttentionArgs::kMaxQueries);
      args.first_position = past;
      args.num_heads = kHeads;
      args.num_kv_heads = kKvHeads;
      args.head_dim = kHeadDim;
      args.kv_head_begin = static_cast<int>(begin % kKvHeads);
      args.kv_head_end = args.kv_head_begin + 1;
      args.scale = 0.125f;
      args.queries = input.floats();
      args.query_stride = dim;
      args.type = KvType::kF16;
      args.keys = cache.data();
      args.values = cache.data() + kKvHeads * keys * row_bytes;
      args.head_stride = keys * row_bytes;
      args.position_stride = row_bytes;
      args.output = output.floats();
      args.output_stride = dim;
      args.scratch = scratch.data() + thread * scratch_bytes;
      k.attention(args);
    });
  }
  double pairs = static_cast<double>(queries) * static_cast<double>(past + keys + 1) / 2;
  report(state, static_cast<double>(2 * kKvHeads * keys * row_bytes), 4 * pairs * static_cast<double>(dim),
         roof().fp32_gflops);
}

void rms_norm(benchmark::State& state, int64_t cols) {
  Memory x(cols * 4), weight(cols * 4), out(cols * 4);
  fill_normal(x.floats(), cols, 1);
  fill_normal(weight.floats(), cols, 2);
  for (auto _ : state) {
    active().rms_norm(x.floats(), weight.floats(), 1e-5f, out.floats(), cols);
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(8 * cols), static_cast<double>(4 * cols), roof().fp32_gflops);
}

void quantize_rows(benchmark::State& state, int64_t cols) {
  Memory x(cols * 4), out(QuantizedRows::bytes(1, cols));
  fill_normal(x.floats(), cols, 1);
  QuantizedRows rows = QuantizedRows::at(out.data(), 1, cols);
  for (auto _ : state) {
    active().quantize_rows(x.floats(), cols, rows, 0, 1);
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(4 * cols), static_cast<double>(2 * cols), roof().fp32_gflops);
}

void gated(benchmark::State& state, int64_t cols) {
  Memory x(cols * 4), up(cols * 4), out(cols * 4);
  fill_normal(x.floats(), cols, 1);
  fill_normal(up.floats(), cols, 2);
  for (auto _ : state) {
    active().gated(Activation::kSilu, x.floats(), up.floats(), out.floats(), cols);
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(8 * cols), static_cast<double>(20 * cols), roof().fp32_gflops);
}

/// An empty run of the pool: what every parallel operation pays.
void thread_pool_run(benchmark::State& state) {
  for (auto _ : state) pool().run([](int) {});
}

void register_all() {
  for (const tensor::DTypeInfo& info : tensor::kDTypes) {
    for (int64_t tokens : {1, 4, 8, 16, 512}) {
      // 64 MiB: read from memory. 256 KiB: in the second-level caches, where the arithmetic shows.
      for (auto [bytes, where] : {std::pair{int64_t{64} << 20, "memory"}, std::pair{int64_t{256} << 10, "cache"}}) {
        if (tokens == 512 && bytes > (1 << 20)) bytes = 8 << 20;
        benchmark::RegisterBenchmark(fmt::format("linear/{}/{}/{}", info.name, tokens, where).c_str(), linear,
                                     info.dtype, tokens, 1536, bytes)
            ->UseRealTime();
      }
    }
  }
  for (auto [queries, past] : {std::pair{1, 64}, {1, 512}, {1, 4096}, {32, 480}, {256, 0}, {256, 3840}})
    benchmark::RegisterBenchmark(fmt::format("attention/{}/{}", queries, past).c_str(), attention, queries, past)
        ->UseRealTime();
  for (int64_t cols : {576, 1536, 8960}) {
    benchmark::RegisterBenchmark(fmt::format("rms_norm/{}", cols).c_str(), rms_norm, cols);
    benchmark::RegisterBenchmark(fmt::format("quantize_rows/{}", cols).c_str(), quantize_rows, cols);
    benchmark::RegisterBenchmark(fmt::format("gated/{}", cols).c_str(), gated, cols);
  }
  benchmark::RegisterBenchmark("thread_pool_run", thread_pool_run)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (!active_error().empty()) {
    fmt::print(stderr, "{}\n", active_error());
    return 1;
  }
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
