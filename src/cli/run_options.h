// Options and set-up that every command which runs a model shares.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "runtime/generate.h"
#include "runtime/model.h"
#include "runtime/runner.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace retort::cli {

struct EngineOptions {
  std::string model;
  int threads = 0;      // 0: one per processor
  int64_t context = 0;  // 0: the command decides
  std::string kv_type = "f16";
  std::vector<runtime::AdapterChoice> adapters;
};

/// Adds the model argument and --threads, --context, --kv-type and --adapter.
void add_engine_options(CLI::App& command, EngineOptions& options);

/// Adds --adapter, which may be repeated; each is added at the end of `adapters`.
CLI::Option* add_adapter_option(CLI::App& command, std::vector<runtime::AdapterChoice>& adapters);

/// Adds --max-tokens, --temperature, --top-k, --top-p, --min-p, --repeat-penalty, --presence-penalty,
/// --frequency-penalty,
/// --seed, --stop and --logit-bias.
void add_generation_options(CLI::App& command, runtime::GenerationOptions& options);

/// A loaded model with what it takes to run it.
struct Engine {
  std::unique_ptr<runtime::Model> model;
  std::unique_ptr<base::ThreadPool> pool;
  std::unique_ptr<runtime::Runner> runner;
  kernels::KvType kv_type = kernels::KvType::kF16;
  int64_t context = 0;
  double load_ms = 0;

  /// Resolves the model's name, loads it and starts the threads. Refuses a bad RETORT_ISA.
  static base::Result<Engine> load(const EngineOptions& options);

  /// A cache for the asked-for context, or for `needed` positions when none was asked for, at most what the model was
  /// trained for.
  base::Result<graph::KvCache> make_cache(int64_t needed) const;
};

/// Largest resident set of this process so far.
int64_t peak_rss_bytes();

}  // namespace retort::cli
