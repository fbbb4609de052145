#include "cli/run_options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "cli/model_path.h"

namespace retort::cli {

void add_engine_options(CLI::App& command, EngineOptions& options) {
  command.add_option("model", options.model, "GGUF file or catalogue name")->required();
  command.add_option("--threads", options.threads, "Threads; 0: one per processor")->check(CLI::Range(0, 1024));
  command.add_option("--context", options.context, "Positions the KV cache holds; 0: as many as are needed")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 32));
  command.add_option("--kv-type", options.kv_type, "How keys and values are kept")
      ->check(CLI::IsMember({"f16", "q8_0", "f32"}))
      ->capture_default_str();
  add_adapter_option(command, options.adapters);
}

CLI::Option* add_adapter_option(CLI::App& command, std::vector<runtime::AdapterChoice>& adapters) {
  return command
      .add_option_function<std::vector<std::string>>(
          "--adapter",
          [&adapters](const std::vector<std::string>& values) {
            for (const std::string& value : values) {
              runtime::AdapterChoice choice{value, 1};
              size_t equals = value.rfind('=');
              std::error_code ignored;
              if (equals != std::string::npos && !std::filesystem::exists(value, ignored)) {
                size_t used = 0;
                try {
                  choice.scale = std::stod(value.substr(equals + 1), &used);
                } catch (const std::exception&) {
                }
                if (used == 0 || used + equals + 1 != value.size())
                  throw CLI::ValidationError("--adapter", "expected PATH or PATH=SCALE, got " + value);
                choice.path = value.substr(0, equals);
              }
              adapters.push_back(choice);
            }
          },
          "Add a tuned adapter (GGUF file or PEFT folder), as PATH or PATH=SCALE; may be repeated")
      ->allow_extra_args(false);
}

void add_generation_options(CLI::App& command, runtime::GenerationOptions& options) {
  runtime::SamplingOptions& sampling = options.sampling;
  command
      .add_option("-n,--max-tokens", options.max_tokens, "Tokens to generate at most; -1: until the context is full")
      ->capture_default_str();
  command.add_option("--temperature", sampling.temperature, "0 takes the likeliest token; higher is more varied")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "Keep the k likeliest tokens; 0: all")->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "Keep the likeliest tokens that together reach this probability")
      ->capture_default_str();
  command.add_option("--min-p", sampling.min_p, "Keep tokens at least this fraction as likely as the likeliest")
      ->capture_default_str();
  command.add_option("--repeat-penalty", sampling.repeat_penalty, "Make recent tokens less likely; 1: do not")
      ->capture_default_str();
  command.add_option("--presence-penalty", sampling.presence_penalty, "Subtract from the logits of recent tokens")
      ->capture_default_str();
  command.add_option("--frequency-penalty", sampling.frequency_penalty, "Subtract for each time a token is recent")
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "Of the random choices")->capture_default_str();
  command.add_option("--stop", options.stops, "End the answer before this text; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option_function<std::vector<std::string>>(
          "--logit-bias",
          [&sampling](const std::vector<std::string>& values) {
            for (const std::string& value : values) {
              int id = 0, used = 0;
              float bias = 0;
              if (std::sscanf(value.c_str(), "%d=%f%n", &id, &bias, &used) != 2 ||
                  static_cast<size_t>(used) != value.size())
                throw CLI::ValidationError("--logit-bias", "expected ID=BIAS, got " + value);
              sampling.logit_bias.emplace_back(id, bias);
            }
          },
          "Add BIAS to a token's logit, as ID=BIAS; may be repeated")
      ->allow_extra_args(false);
}

base::Result<Engine> Engine::load(const EngineOptions& options) {
  auto start = std::chrono::steady_clock::now();
  if (!kernels::active_error().empty()) return base::fail(std::string(kernels::active_error()));
  RETORT_TRY(std::string path, resolve_model(options.model));
  Engine engine;
  RETORT_TRY(engine.model, runtime::Model::load(path, options.adapters));
  engine.pool = std::make_unique<base::ThreadPool>(options.threads);
  engine.runner = std::make_unique<runtime::Runner>(engine.model->network(), *engine.pool);
  engine.kv_type = options.kv_type == "q8_0"  ? kernels::KvType::kQ8_0
                   : options.kv_type == "f32" ? kernels::KvType::kF32
                                              : kernels::KvType::kF16;
  engine.context = options.context;
  engine.load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

base::Result<graph::KvCache> Engine::make_cache(int64_t needed) const {
  int64_t trained = model->hyperparameters().context_length;
  int64_t capacity = context > 0 ? context : std::min(needed, trained);
  return runner->make_cache(std::max<int64_t>(capacity, 1), kv_type);
}

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace retort::cli
