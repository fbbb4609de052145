#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/chat_prompt.h"
#include "cli/commands.h"
#include "cli/model_path.h"
#include "formats/gguf.h"

namespace retort::cli {
namespace {

struct Options {
  std::string model, file, template_file;
  bool no_generation_prompt = false, json = false;
};

base::Result<int> run(const Options& options) {
  RETORT_TRY(std::string path, resolve_model(options.model));
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  RETORT_TRY(auto tokenizer, text::Tokenizer::load(file));
  RETORT_TRY(text::ChatTemplate chat_template, load_template(file, *tokenizer, options.template_file));
  RETORT_TRY(std::string input, read_input(options.file));
  text::ChatRequest request;
  request.add_generation_prompt = !options.no_generation_prompt;
  auto parsed = nlohmann::ordered_json::parse(input, nullptr, false);
  if (parsed.is_object() && parsed.contains("messages")) {
    request.messages = parsed["messages"].dump();
    if (parsed.contains("tools") && !parsed["tools"].is_null()) request.tools = parsed["tools"].dump();
    if (parsed.contains("add_generation_prompt") && parsed["add_generation_prompt"].is_boolean())
      request.add_generation_prompt = parsed["add_generation_prompt"].get<bool>() && !options.no_generation_prompt;
    for (const char* used : {"messages", "tools", "add_generation_prompt"}) parsed.erase(used);
    if (!parsed.empty()) request.variables = parsed.dump();
  } else {
    request.messages = input;
  }
  RETORT_TRY(std::string prompt, chat_template.render(request));
  if (options.json)
    fmt::print("{}\n",
               nlohmann::json({{"prompt", prompt}}).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    fmt::print("{}", prompt);
  return kDone;
}

}  // namespace

void add_template(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("template", "Render a conversation with a model's chat template");
  command->add_option("model", options->model, "GGUF file or catalogue name")->required();
  command->add_option("--file", options->file, "Read the conversation from this file instead of stdin");
  command->add_option("--template", options->template_file, "Use this Jinja file instead of the model's template");
  command->add_flag("--no-generation-prompt", options->no_generation_prompt,
                    "Do not open the assistant's turn at the end");
  command->add_flag("--json", options->json, "Print {\"prompt\"}");
  command->footer(
      "The input is a JSON list of messages, or an object with \"messages\" and optionally \"tools\", "
      "\"add_generation_prompt\"\n"
      "and further variables of the template.\n"
      "Examples:\n"
      "  echo '[{\"role\": \"user\", \"content\": \"Hello\"}]' | retort template smollm2-135m\n"
      "  retort template model.gguf --file conversation.json --json");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
