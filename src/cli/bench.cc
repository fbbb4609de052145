#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "runtime/benchmark.h"

namespace retort::cli {
namespace {

struct Options {
  EngineOptions engine;
  runtime::BenchmarkOptions benchmark{.batches = {1, 4, 8, 16}};
  bool roof = false, json = false;
};

/// One measured speed beside its limits; a limit of 0 was not measured or does not exist here.
struct Line {
  std::string name;
  double speed = 0, roof = 0, tile_roof = 0;
};

nlohmann::json to_json(const Line& line) {
  nlohmann::json json = {{"tokens_per_s", line.speed}, {"roof_tokens_per_s", nullptr}, {"of_roof", nullptr}};
  if (line.roof > 0) {
    json["roof_tokens_per_s"] = line.roof;
    json["of_roof"] = line.speed / line.roof;
  }
  if (line.tile_roof > 0) {
    json["tile_roof_tokens_per_s"] = line.tile_roof;
    json["of_tile_roof"] = line.speed / line.tile_roof;
  }
  return json;
}

nlohmann::json to_json(const runtime::Roof& roof) {
  nlohmann::json json = {{"read_gb_per_s", roof.read_gb_per_s},
                         {"int8_gops", roof.int8_gops},
                         {"bf16_gflops", roof.bf16_gflops},
                         {"fp32_gflops", roof.fp32_gflops}};
  if (roof.tile_int8_gops > 0) json["tile_int8_gops"] = roof.tile_int8_gops;
  if (roof.tile_bf16_gflops > 0) json["tile_bf16_gflops"] = roof.tile_bf16_gflops;
  return json;
}

void print_table(const std::vector<Line>& lines, const runtime::Roof& roof) {
  bool roofs = roof.read_gb_per_s > 0, tiles = roof.tile_int8_gops > 0;
  fmt::print("{:<28}{:>12}", "", "tokens/s");
  if (roofs) fmt::print("{:>12}{:>10}", "roof", "of roof");
  if (tiles) fmt::print("{:>12}{:>10}", "tile roof", "of it");
  fmt::print("\n");
  for (const Line& line : lines) {
    fmt::print("{:<28}{:>12.1f}", line.name, line.speed);
    if (line.roof > 0) fmt::print("{:>12.1f}{:>9.1f}%", line.roof, 100 * line.speed / line.roof);
    if (line.tile_roof > 0) fmt::print("{:>12.1f}{:>9.1f}%", line.tile_roof, 100 * line.speed / line.tile_roof);
    fmt::print("\n");
  }
  if (!roofs) return;
  fmt::print("machine: reads {:.1f} GB/s; int8 {:.0f} GOPS, bf16 {:.0f} and fp32 {:.0f} GFLOPS", roof.read_gb_per_s,
             roof.int8_gops, roof.bf16_gflops, roof.fp32_gflops);
  if (tiles) fmt::print("; tiles int8 {:.0f} GOPS, bf16 {:.0f} GFLOPS", roof.tile_int8_gops, roof.tile_bf16_gflops);
  fmt::print("\n");
}

base::Result<int> run(const Options& options) {
  RETORT_TRY(Engine engine, Engine::load(options.engine));
  runtime::BenchmarkOptions settings = options.benchmark;
  settings.kv_type = engine.kv_type;
  RETORT_TRY(runtime::BenchmarkResult result, runtime::run_benchmark(*engine.model, *engine.runner, settings));
  int64_t peak_rss = peak_rss_bytes();  // before the roof's buffer
  runtime::Roof roof;
  if (options.roof) roof = runtime::measure_roof(*engine.pool);

  runtime::ModelCost cost = runtime::model_cost(engine.model->network());
  Line prefill{fmt::format("prefill, {} tokens", settings.prompt), result.prefill_tokens_per_s,
               runtime::prefill_roof(cost, roof.int8_gops, settings.prompt),
               runtime::prefill_roof(cost, roof.tile_int8_gops, settings.prompt)};
  Line decode{fmt::format("decode, {} tokens", settings.generate), result.decode_tokens_per_s,
              runtime::decode_roof(cost, roof), 0};
  std::vector<Line> batches;
  for (const runtime::BatchSpeed& batch : result.batches)
    batches.push_back({fmt::format("decode, {} sequences", batch.sequences), batch.tokens_per_s,
                       runtime::batch_roof(cost, roof, roof.int8_gops, batch.sequences),
                       runtime::batch_roof(cost, roof, roof.tile_int8_gops, batch.sequences)});
  std::string_view isa = kernels::active().name;
  int threads = engine.pool->num_threads();

  if (options.json) {
    nlohmann::json json = {{"model", options.engine.model},
                           {"prefill", to_json(prefill)},
                           {"decode", to_json(decode)},
                           {"batch", nlohmann::json::array()},
                           {"load_ms", engine.load_ms},
                           {"first_token_ms", result.first_token_ms},
                           {"peak_rss_bytes", peak_rss},
                           {"roof", options.roof ? to_json(roof) : nlohmann::json(nullptr)},
                           {"isa", isa},
                           {"threads", threads},
                           {"commit", build_commit()}};
    for (size_t i = 0; i < batches.size(); ++i) {
      nlohmann::json entry = to_json(batches[i]);
      entry["sequences"] = result.batches[i].sequences;
      json["batch"].push_back(std::move(entry));
    }
    fmt::print("{}\n", json.dump());
    return kDone;
  }
  fmt::print("{}, {} kernels, {} threads, commit {}\n", options.engine.model, isa, threads, build_commit());
  std::vector<Line> lines = {prefill, decode};
  lines.insert(lines.end(), batches.begin(), batches.end());
  print_table(lines, roof);
  fmt::print("load {:.0f} ms, first 8 tokens {:.0f} ms, peak memory {:.0f} MiB\n", engine.load_ms,
             result.first_token_ms, static_cast<double>(peak_rss) / (1 << 20));
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("bench", "Measure a model's speed beside the machine's limits");
  constexpr int64_t kMost = 1 << 20;
  add_engine_options(*command, options->engine);
  command->add_option("--prompt", options->benchmark.prompt, "Tokens of the prompt")
      ->check(CLI::Range(int64_t{1}, kMost))
      ->capture_default_str();
  command->add_option("--generate", options->benchmark.generate, "Tokens to decode")
      ->check(CLI::Range(int64_t{1}, kMost))
      ->capture_default_str();
  command->add_option("--batch", options->benchmark.batches, "Numbers of sequences to decode together")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{0}, int64_t{1024}))
      ->capture_default_str();
  command->add_option("--repeat", options->benchmark.repeat, "Runs of each; the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--roof", options->roof,
                    "Measure the machine's read bandwidth and arithmetic peaks and print each figure's share (takes "
                    "1 GiB of memory)");
  command->add_flag("--json", options->json, "Print one object with all figures");
  command->footer(
      "Roofs: a decoded token reads every weight once; a prompt's token multiplies every weight once, in 8 bits.\n"
      "--context is ignored: the KV cache holds the prompt and the decoded tokens. --batch 0: none.\n"
      "Examples:\n"
      "  retort bench smollm2-135m --roof\n"
      "  retort bench qwen2.5-coder-1.5b --prompt 4096 --batch 0 --json\n"
      "  RETORT_ISA=avx2 retort bench gemma3-270m --threads 1");
  command->callback([options, &exit_code] {
    std::erase(options->benchmark.batches, 0);
    exit_code = finish(run(*options));
  });
}

}  // namespace retort::cli
