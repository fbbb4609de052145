#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/run_options.h"
#include "runtime/perplexity.h"

namespace retort::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::string file;
  int64_t chunks = -1;
  bool exact = false, json = false;
};

base::Result<int> run(const Options& options) {
  RETORT_TRY(Engine engine, Engine::load(options.engine));
  RETORT_TRY(std::string text, read_input(options.file));
  engine.runner->set_may_round(!options.exact);
  runtime::PerplexityOptions settings;
  if (options.engine.context > 0) settings.context = options.engine.context;
  settings.max_chunks = options.chunks;
  settings.kv_type = engine.kv_type;
  auto start = std::chrono::steady_clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  RETORT_TRY(runtime::Perplexity result,
             runtime::measure_perplexity(
                 *engine.model, *engine.runner, text, settings, [&](const runtime::Perplexity& so_far) {
                   if (!options.json)
                     fmt::print(stderr, "window {}: perplexity {:.4f}\n", so_far.chunks, so_far.perplexity);
                 }));
  double rate = static_cast<double>(result.chunks * settings.context) / seconds();
  if (options.json)
    fmt::print("{}\n", nlohmann::json({{"perplexity", result.perplexity},
                                       {"stderr", result.standard_error},
                                       {"tokens", result.tokens},
                                       {"chunks", result.chunks},
                                       {"tokens_per_s", rate}})
                           .dump());
  else
    fmt::print("perplexity {:.4f} +- {:.4f} over {} tokens in {} windows of {}, {:.0f} tokens/s\n", result.perplexity,
               result.standard_error, result.tokens, result.chunks, settings.context, rate);
  return kDone;
}

}  // namespace

void add_perplexity(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  add_engine_options(*command, options->engine);
  command->add_option("file", options->file, "The text; - or nothing: stdin");
  command->add_option("--chunks", options->chunks, "Windows to measure at most; -1: all")->capture_default_str();
  command->add_flag("--exact", options->exact,
                    "Without the rounding for speed of prompts, as 'retort logits' computes");
  command->add_flag("--json", options->json,
                    "Print {\"perplexity\",\"stderr\",\"tokens\",\"chunks\",\"tokens_per_s\"}");
  command->footer(
      "The text is cut into windows of --context tokens (512); the second half of each is scored, as llama.cpp's tool "
      "does.\n"
      "Examples:\n"
      "  retort perplexity smollm2-135m address.txt --chunks 8\n"
      "  retort perplexity model.gguf book.txt --context 2048 --json");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
