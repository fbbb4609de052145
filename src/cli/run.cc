#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/chat_prompt.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/run_options.h"
#include "text/model_template.h"

namespace retort::cli {
namespace {

struct Options {
  EngineOptions engine;
  runtime::GenerationOptions generation;
  std::string prompt, file, system, template_file;
  bool raw = false, json = false, verbose = false;
};

nlohmann::json to_json(const Engine& engine, const std::vector<int32_t>& prompt,
                       const runtime::Completion& completion) {
  auto per_second = [](double count, double ms) { return ms > 0 ? count * 1000 / ms : 0; };
  auto generated = static_cast<double>(completion.token_ids.size());
  return {{"text", completion.text},
          {"prompt_ids", prompt},
          {"token_ids", completion.token_ids},
          {"finish_reason", std::string(runtime::name(completion.finish_reason))},
          {"prompt_tokens", prompt.size()},
          {"completion_tokens", completion.token_ids.size()},
          {"timings",
           {{"load_ms", engine.load_ms},
            {"prefill_ms", completion.prefill_ms},
            {"first_token_ms", completion.first_token_ms},
            {"decode_ms", completion.decode_ms},
            {"prefill_tokens_per_s", per_second(static_cast<double>(prompt.size()), completion.prefill_ms)},
            {"decode_tokens_per_s", per_second(std::max(0.0, generated - 1), completion.decode_ms)}}},
          {"peak_rss_bytes", peak_rss_bytes()}};
}

base::Result<int> run(const Options& options) {
  std::string input = options.prompt;
  if (input.empty()) {
    RETORT_TRY(input, read_input(options.file));
  }
  RETORT_TRY(Engine engine, Engine::load(options.engine));
  const text::Tokenizer& tokenizer = engine.model->tokenizer();
  std::vector<int32_t> prompt;
  if (options.raw) {
    prompt = tokenizer.encode(input);
  } else {
    RETORT_TRY(text::ChatTemplate chat_template, load_template(engine.model->file(), tokenizer, options.template_file));
    text::ChatRequest request;
    request.messages = text::messages_json(options.system, input);
    RETORT_TRY(std::string rendered, chat_template.render(request));
    prompt = text::encode_rendered(tokenizer, rendered);
  }

  constexpr int64_t kRoomForAnswer = 4096;
  int64_t answer = options.generation.max_tokens >= 0 ? options.generation.max_tokens : kRoomForAnswer;
  RETORT_TRY(graph::KvCache cache, engine.make_cache(static_cast<int64_t>(prompt.size()) + answer));
  InterruptGuard interrupt;
  runtime::GenerationOptions generation = options.generation;
  generation.cancelled = &interrupt.flag();
  bool streams = !options.json;
  RETORT_TRY(runtime::Completion completion,
             runtime::generate(*engine.model, *engine.runner, cache, prompt, generation, [&](std::string_view piece) {
               if (!streams) return;
               std::fwrite(piece.data(), 1, piece.size(), stdout);
               std::fflush(stdout);
             }));
  nlohmann::json result = to_json(engine, prompt, completion);
  if (options.json) {
    fmt::print("{}\n", result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    if (!completion.text.ends_with('\n')) fmt::print("\n");
    std::fflush(stdout);
    if (options.verbose || isatty(STDERR_FILENO) != 0)
      fmt::print(stderr,
                 "[prompt {} tokens at {:.0f}/s, answer {} tokens at {:.1f}/s, first after {:.0f} ms, {:.0f} MiB]\n",
                 prompt.size(), result["timings"]["prefill_tokens_per_s"].get<double>(), completion.token_ids.size(),
                 result["timings"]["decode_tokens_per_s"].get<double>(), engine.load_ms + completion.first_token_ms,
                 static_cast<double>(peak_rss_bytes()) / (1 << 20));
  }
  return completion.finish_reason == runtime::FinishReason::kCancelled ? kInterrupted : kDone;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Answer one prompt");
  add_engine_options(*command, options->engine);
  command->add_option("-p,--prompt", options->prompt, "The prompt; without it, --file or stdin");
  command->add_option("--file", options->file, "Read the prompt from this file");
  command->add_option("--system", options->system, "System message");
  command->add_option("--template", options->template_file, "Use this Jinja file instead of the model's chat template");
  command->add_flag("--raw", options->raw, "Continue the prompt as it is, without the chat template");
  command->add_flag("-v,--verbose", options->verbose,
                    "Print speed and memory to stderr even when it is not a terminal");
  add_generation_options(*command, options->generation);
  command->add_flag("--json", options->json, "Print one object with text, token ids and timings");
  command->footer(
      "Examples:\n"
      "  retort run smollm2-135m -p 'What is the capital of France?'\n"
      "  retort run gemma3-270m --raw -p 'Once upon a time' --max-tokens 50 --temperature 0.8 --seed 1\n"
      "  cat question.txt | retort run qwen2.5-coder-0.5b --system 'Answer in one line.' --json");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
