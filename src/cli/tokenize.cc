#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cctype>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.h"
#include "cli/model_path.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace retort::cli {
namespace {

struct Options {
  std::string model, file;
  bool add_bos = false, no_special = false, decode = false, lines = false, json = false;
};

/// A piece on one line: control characters and backslashes escaped.
std::string escaped(const std::string& piece) {
  std::string out;
  for (char c : piece) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\\')
      out += "\\\\";
    else if (static_cast<unsigned char>(c) < ' ' || c == 127)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

base::Result<std::vector<int32_t>> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    if (std::isspace(static_cast<unsigned char>(*at)) != 0 || *at == ',' || *at == '[' || *at == ']') {
      ++at;
      continue;
    }
    int32_t id = 0;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc())
      return base::fail(fmt::format("byte {} of the input: expected token ids separated by spaces, commas or lines",
                                    at - text.data()));
    ids.push_back(id);
    at = next;
  }
  return ids;
}

void print(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids, const Options& options) {
  if (options.json) {
    nlohmann::json pieces = nlohmann::json::array();
    for (int32_t id : ids) pieces.push_back(text::repair_utf8(tokenizer.piece(id, true)));
    nlohmann::json object = {{"ids", ids}, {"pieces", pieces}};
    if (options.decode) object["text"] = text::repair_utf8(tokenizer.decode(ids));
    fmt::print("{}\n", object.dump());
  } else if (options.decode) {
    fmt::print("{}", tokenizer.decode(ids));
  } else {
    for (int32_t id : ids) fmt::print("{}\t{}\n", id, escaped(tokenizer.piece(id, true)));
  }
}

base::Result<int> run(const Options& options) {
  RETORT_TRY(std::string path, resolve_model(options.model));
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  RETORT_TRY(auto tokenizer, text::Tokenizer::load(file));
  RETORT_TRY(std::string input, read_input(options.file));
  text::EncodeOptions encode;
  if (!options.add_bos) encode.add_bos = false;
  encode.parse_special = !options.no_special;
  if (options.lines) {
    std::istringstream stream(input);
    std::string line;
    for (int number = 1; std::getline(stream, line); ++number) {
      nlohmann::json value = nlohmann::json::parse(line, nullptr, false);
      if (!value.is_string())
        return base::fail(fmt::format("line {}: expected a JSON string, got {}", number, line.substr(0, 40)));
      print(*tokenizer, tokenizer->encode(value.get<std::string>(), encode), options);
    }
    return kDone;
  }
  std::vector<int32_t> ids;
  if (options.decode) {
    RETORT_TRY(ids, parse_ids(input));
  } else {
    ids = tokenizer->encode(input, encode);
  }
  print(*tokenizer, ids, options);
  return kDone;
}

}  // namespace

void add_tokenize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Turn text from stdin into token ids");
  command->add_option("model", options->model, "GGUF file or catalogue name")->required();
  command->add_option("--file", options->file, "Read this file instead of stdin");
  command->add_flag("--add-bos", options->add_bos, "Begin with the beginning-of-sequence token, if the model uses one");
  command->add_flag("--no-special", options->no_special,
                    "Treat <|im_end|> and the like in the text as plain characters");
  command->add_flag("--decode", options->decode, "Turn token ids into text instead");
  command->add_flag("--lines", options->lines, "The input is many texts: one JSON string on each line")
      ->excludes("--decode");
  command->add_flag("--json", options->json, "Print {\"ids\",\"pieces\"}, with --lines one such object for each text");
  command->footer(
      "Examples:\n"
      "  echo -n 'Hello, world' | retort tokenize smollm2-135m\n"
      "  retort tokenize model.gguf --file notes.txt --json | jq '.ids | length'\n"
      "  echo 19556 28 | retort tokenize smollm2-135m --decode");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
