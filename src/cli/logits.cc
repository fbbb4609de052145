#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/commands.h"
#include "cli/model_path.h"
#include "cli/run_options.h"
#include "runtime/model.h"
#include "runtime/runner.h"
#include "text/utf8.h"

namespace retort::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::string file;
  std::vector<int32_t> ids;
  int top = 10;
  bool all = false, no_special = false, json = false;
};

nlohmann::json top_of(std::span<const float> logits, int count) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto wanted = count > 0 ? std::min(static_cast<size_t>(count), order.size()) : order.size();
  auto middle = order.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::partial_sort(order.begin(), middle, order.end(), [&](int32_t a, int32_t b) {
    float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  nlohmann::json top = nlohmann::json::array();
  for (auto it = order.begin(); it != middle; ++it) top.push_back({*it, logits[static_cast<size_t>(*it)]});
  return top;
}

base::Result<int> run(const Options& options) {
  RETORT_TRY(Engine engine, Engine::load(options.engine));
  std::vector<int32_t> ids = options.ids;
  if (ids.empty()) {
    RETORT_TRY(std::string input, read_input(options.file));
    text::EncodeOptions encode;
    encode.parse_special = !options.no_special;
    ids = engine.model->tokenizer().encode(input, encode);
  }
  if (ids.empty()) return base::fail("the input has no tokens: give some text on stdin or with --file");
  RETORT_TRY(graph::KvCache cache, engine.make_cache(static_cast<int64_t>(ids.size())));
  engine.runner->set_may_round(false);
  nlohmann::json positions = nlohmann::json::array();
  runtime::Input step{&cache, ids, options.all ? runtime::Want::kAll : runtime::Want::kLast};
  RETORT_TRY_STATUS(engine.runner->run(
      {&step, 1}, [&](size_t, int64_t, std::span<float> logits) { positions.push_back(top_of(logits, options.top)); }));
  if (options.json) {
    nlohmann::json object = {{"ids", ids}, {"top", positions.back()}};
    if (options.all) object["positions"] = positions;
    fmt::print("{}\n", object.dump());
    return kDone;
  }
  for (size_t i = 0; i < positions.size(); ++i) {
    if (options.all) fmt::print("after token {}\n", i);
    for (const auto& entry : positions[i])
      fmt::print(
          "{:>8}  {:>10.4f}  {}\n", entry[0].get<int32_t>(), entry[1].get<float>(),
          nlohmann::json(text::repair_utf8(engine.model->tokenizer().piece(entry[0].get<int32_t>(), true))).dump());
  }
  return kDone;
}

}  // namespace

void add_logits(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("logits", "Show the likeliest next tokens, for checking against other programs");
  add_engine_options(*command, options->engine);
  command->add_option("--file", options->file, "Read the text from this file instead of stdin");
  command->add_option("--ids", options->ids, "Token ids instead of text, with commas between")->delimiter(',');
  command->add_option("--top", options->top, "How many of the largest logits to show; 0: all")->capture_default_str();
  command->add_flag("--all", options->all, "After every token, not only the last");
  command->add_flag("--no-special", options->no_special,
                    "Treat <|im_end|> and the like in the text as plain characters");
  command->add_flag("--json", options->json, "Print {\"ids\",\"top\":[[id,logit],..]}, with --all also \"positions\"");
  command->footer(
      "Computed without the rounding for speed that other commands allow themselves in inputs of more than 16 tokens.\n"
      "Examples:\n"
      "  echo -n 'The capital of France is' | retort logits smollm2-135m\n"
      "  retort logits model.gguf --file prompt.txt --top 3 --all --json\n"
      "  retort logits model.gguf --ids 504,3575,282 --top 1");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
