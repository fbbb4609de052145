#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "cli/chat_prompt.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/run_options.h"
#include "hub/catalogue.h"
#include "runtime/session.h"
#include "text/model_template.h"

namespace retort::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  EngineOptions engine;
  runtime::GenerationOptions generation;
  std::string system, template_file;
};

constexpr int64_t kDefaultContext = 8192;  // positions; memory is taken only as they are filled
constexpr const char* kHelp =
    "/help                this\n"
    "/clear               forget the conversation, but for the system message\n"
    "/system TEXT         set the system message and forget the rest\n"
    "/regenerate          answer the last question again, with another seed\n"
    "/set NAME VALUE      temperature, top-k, top-p, min-p, repeat-penalty, seed or max-tokens; alone: show them\n"
    "/save FILE           write the conversation as JSON messages\n"
    "/load FILE           go on with a conversation that was saved\n"
    "/stats               speed and size of the last answer\n"
    "/exit                leave, as Ctrl-D does; Ctrl-C stops an answer\n"
    "A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of many lines.\n";

class Chat {
 public:
  Chat(Engine& engine, runtime::Session session, text::ChatTemplate chat_template, const Options& options)
      : engine_(engine),
        session_(std::move(session)),
        template_(std::move(chat_template)),
        generation_(options.generation) {
    if (!options.system.empty()) messages_.push_back({{"role", "system"}, {"content", options.system}});
  }

  /// Reads and answers until the end of the input.
  void talk(LineReader& reader) {
    if (reader.interactive()) {
      std::signal(SIGINT, SIG_IGN);  // one that comes as an answer ends must not end the program
      fmt::print(stderr, "Ask something; /help shows what else there is.\n");
    }
    std::string line;
    for (LineReader::Outcome outcome; (outcome = reader.read(line)) != LineReader::Outcome::kEnd;) {
      if (outcome == LineReader::Outcome::kInterrupted || line.empty()) continue;
      if (line[0] == '/') {
        if (!command(line)) return;
        continue;
      }
      messages_.push_back({{"role", "user"}, {"content", line}});
      if (!answer()) messages_.erase(messages_.size() - 1);
    }
    if (reader.interactive()) fmt::print("\n");
  }

 private:
  /// Generates the assistant's next message; false, with a message shown, when that failed.
  bool answer() {
    text::ChatRequest request;
    request.messages = messages_.dump(-1, ' ', false, Json::error_handler_t::replace);
    base::Result<std::string> prompt = template_.render(request);
    if (!prompt) return complain(prompt.error().message);
    std::vector<int32_t> ids = text::encode_rendered(engine_.model->tokenizer(), *prompt);
    InterruptGuard interrupt;
    generation_.cancelled = &interrupt.flag();
    auto completion = session_.generate(ids, generation_, [](std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    });
    generation_.cancelled = nullptr;
    if (!completion) return complain(completion.error().message + "; /clear begins anew");
    fmt::print("\n");
    std::fflush(stdout);
    prompt_tokens_ = static_cast<int64_t>(ids.size());
    last_ = std::move(*completion);
    if (last_.finish_reason == runtime::FinishReason::kLength)
      note(static_cast<int64_t>(session_.tokens().size()) >= session_.context()
               ? fmt::format("the context of {} tokens is full: /clear begins anew, --context makes it larger",
                             session_.context())
               : "the answer was cut off at max-tokens");
    messages_.push_back({{"role", "assistant"}, {"content", last_.text}});
    return true;
  }

  /// False to leave.
  bool command(const std::string& line) {
    size_t space = line.find(' ');
    std::string name = line.substr(0, space), rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      fmt::print(stderr, "{}", kHelp);
    } else if (name == "/clear") {
      clear(messages_.empty() || messages_[0]["role"] != "system" ? "" : messages_[0]["content"].get<std::string>());
    } else if (name == "/system") {
      clear(rest);
    } else if (name == "/regenerate") {
      regenerate();
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/save") {
      save(rest);
    } else if (name == "/load") {
      load(rest);
    } else if (name == "/stats") {
      stats();
    } else {
      note(fmt::format("{}: there is no such command; /help shows them", name));
    }
    return true;
  }

  void clear(const std::string& system) {
    messages_ = Json::array();
    if (!system.empty()) messages_.push_back({{"role", "system"}, {"content", system}});
  }

  void regenerate() {
    if (messages_.empty() || messages_.back()["role"] != "assistant") return note("there is no answer yet");
    Json last = messages_.back();
    messages_.erase(messages_.size() - 1);
    ++generation_.sampling.seed;
    if (!answer()) messages_.push_back(last);
  }

  void set(const std::string& assignment) {
    runtime::SamplingOptions& sampling = generation_.sampling;
    if (assignment.empty())
      return note(fmt::format("temperature {}, top-k {}, top-p {}, min-p {}, repeat-penalty {}, seed {}, max-tokens {}",
                              sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p,
                              sampling.repeat_penalty, sampling.seed, generation_.max_tokens));
    size_t space = assignment.find(' ');
    std::string name = assignment.substr(0, space);
    char* end = nullptr;
    const char* digits = space == std::string::npos ? "" : assignment.c_str() + space + 1;
    double value = std::strtod(digits, &end);
    if (end == digits || *end != '\0') return note(fmt::format("/set {}: expected a number", name));
    runtime::GenerationOptions changed = generation_;
    if (name == "temperature")
      changed.sampling.temperature = static_cast<float>(value);
    else if (name == "top-k")
      changed.sampling.top_k = static_cast<int>(value);
    else if (name == "top-p")
      changed.sampling.top_p = static_cast<float>(value);
    else if (name == "min-p")
      changed.sampling.min_p = static_cast<float>(value);
    else if (name == "repeat-penalty")
      changed.sampling.repeat_penalty = static_cast<float>(value);
    else if (name == "seed")
      changed.sampling.seed = static_cast<uint64_t>(std::max(0.0, value));
    else if (name == "max-tokens")
      changed.max_tokens = static_cast<int64_t>(value);
    else
      return note(fmt::format("/set {}: there is no such setting; /help shows them", name));
    auto valid = runtime::Sampler::create(changed.sampling, engine_.model->hyperparameters().vocabulary_size);
    if (!valid) return note(valid.error().message);
    generation_ = std::move(changed);
  }

  void save(const std::string& path) {
    if (path.empty()) return note("/save FILE: which file?");
    Json object = {{"messages", messages_}};
    auto write = [&]() -> base::Status {
      RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
      RETORT_TRY_STATUS(file.write(object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
      return file.commit();
    };
    base::Status status = write();
    if (!status) return note(status.error().message);
    note(fmt::format("{}: {} messages", path, messages_.size()));
  }

  void load(const std::string& path) {
    if (path.empty()) return note("/load FILE: which file?");
    base::Result<std::string> text = read_input(path);
    if (!text) return note(text.error().message);
    Json object = Json::parse(*text, nullptr, false);
    if (object.is_object() && object.contains("messages")) object = object["messages"];
    auto is_message = [](const Json& message) {
      return message.is_object() && message.contains("role") && message["role"].is_string() &&
             message.contains("content") && message["content"].is_string();
    };
    if (!object.is_array() || !std::all_of(object.begin(), object.end(), is_message))
      return note(fmt::format("{}: expected JSON: {{\"messages\": [{{\"role\": ..., \"content\": ...}}, ...]}}", path));
    messages_ = std::move(object);
    note(fmt::format("{}: {} messages", path, messages_.size()));
  }

  void stats() {
    if (last_.token_ids.empty()) return note("there is no answer yet");
    auto per_second = [](double count, double ms) { return ms > 0 ? count * 1000 / ms : 0; };
    auto answered = static_cast<double>(last_.token_ids.size());
    note(
        fmt::format("prompt {} tokens, {} of them kept from before, {:.0f}/s; answer {} tokens, {:.1f}/s, the first "
                    "after {:.0f} ms; context {} of {}; {:.0f} MiB",
                    prompt_tokens_, last_.reused_tokens,
                    per_second(static_cast<double>(prompt_tokens_ - last_.reused_tokens), last_.prefill_ms),
                    last_.token_ids.size(), per_second(answered - 1, last_.decode_ms), last_.first_token_ms,
                    session_.tokens().size(), session_.context(), static_cast<double>(peak_rss_bytes()) / (1 << 20)));
  }

  static void note(const std::string& text) { fmt::print(stderr, "[{}]\n", text); }
  static bool complain(const std::string& message) {
    report(base::Error{message});
    return false;
  }

  Engine& engine_;
  runtime::Session session_;
  text::ChatTemplate template_;
  runtime::GenerationOptions generation_;
  Json messages_ = Json::array();
  runtime::Completion last_;
  int64_t prompt_tokens_ = 0;
};

base::Result<int> run(const Options& options) {
  RETORT_TRY(Engine engine, Engine::load(options.engine));
  RETORT_TRY(text::ChatTemplate chat_template,
             load_template(engine.model->file(), engine.model->tokenizer(), options.template_file));
  int64_t context =
      engine.context > 0 ? engine.context : std::min(kDefaultContext, engine.model->hyperparameters().context_length);
  RETORT_TRY(runtime::Session session,
             runtime::Session::create(*engine.model, *engine.runner, context, engine.kv_type));
  LineReader reader(hub::home_folder() + "/chat_history");
  Chat(engine, std::move(session), std::move(chat_template), options).talk(reader);
  return kDone;
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model");
  add_engine_options(*command, options->engine);
  command->add_option("--system", options->system, "System message");
  command->add_option("--template", options->template_file, "Use this Jinja file instead of the model's chat template");
  add_generation_options(*command, options->generation);
  command->footer(std::string("In the conversation:\n") + kHelp +
                  "Without a terminal, every line of stdin is a message.\n"
                  "Examples:\n"
                  "  retort chat smollm2-135m\n"
                  "  retort chat qwen2.5-coder-1.5b --system 'Answer briefly.' --temperature 0.7 --top-p 0.9\n"
                  "  printf 'What is gravity?\\nWho found it?\\n' | retort chat smollm2-135m");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
