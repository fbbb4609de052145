#include "text/chat_template.h"

#include <fmt/format.h>

#include <ctime>

#include "text/jinja/interpreter.h"
#include "text/jinja/json.h"

namespace retort::text {

struct ChatTemplate::Compiled {
  std::string source, bos, eos;
  jinja::Body body;
};

namespace {

base::Error located(std::string_view source, const jinja::TemplateError& error) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < error.offset && i < source.size(); ++i) {
    if (source[i] == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(source[i]) & 0xc0) != 0x80) {
      ++column;
    }
  }
  return {fmt::format("template:{}:{}: {}", line, column, error.message)};
}

base::Result<jinja::Value> parse_part(const std::string& text, const char* what, bool list) {
  if (text.empty()) return jinja::Value::none();
  auto value = jinja::parse_json(text);
  if (!value) return base::fail(fmt::format("{}: {}", what, value.error().message));
  if (list ? !value->is_list() : !value->is_dict())
    return base::fail(
        fmt::format("{}: expected a JSON {}, got {}", what, list ? "list" : "object", value->type_name()));
  return value;
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

base::Result<ChatTemplate> ChatTemplate::compile(std::string source, std::string bos_token, std::string eos_token) {
  auto compiled = std::make_unique<Compiled>();
  // Jinja2 reads "\r\n" and "\r" as "\n".
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    compiled->source += source[i] == '\r' ? '\n' : source[i];
  }
  compiled->bos = std::move(bos_token);
  compiled->eos = std::move(eos_token);
  try {
    compiled->body = jinja::parse(compiled->source);
  } catch (const jinja::TemplateError& error) {
    return tl::unexpected(located(compiled->source, error));
  }
  return ChatTemplate(std::move(compiled));
}

base::Result<std::string> ChatTemplate::render(const ChatRequest& request) const {
  using jinja::Value;
  RETORT_TRY(Value messages, parse_part(request.messages, "messages", true));
  RETORT_TRY(Value tools, parse_part(request.tools, "tools", true));
  RETORT_TRY(Value variables, parse_part(request.variables, "variables", false));
  if (messages.is_none()) return base::fail("messages: expected a JSON list of messages, got nothing");

  jinja::Dict globals;
  globals.set("messages", messages);
  globals.set("tools", tools);
  globals.set("documents", Value::none());
  globals.set("add_generation_prompt", request.add_generation_prompt);
  globals.set("bos_token", compiled_->bos);
  globals.set("eos_token", compiled_->eos);
  if (variables.is_dict())
    for (const auto& [key, value] : variables.as_dict().items) globals.set(key, value);
  globals.set("raise_exception", Value::callable("raise_exception", [](jinja::Arguments& a) -> Value {
                throw jinja::TemplateError{a.get(0, "message").str()};
              }));
  globals.set("strftime_now", Value::callable("strftime_now", [now = request.now](jinja::Arguments& a) -> Value {
                std::time_t at = now.value_or(std::time(nullptr));
                std::tm local{};
                if (now)
                  gmtime_r(&at, &local);
                else
                  localtime_r(&at, &local);
                std::string form = a.get(0, "format").str();
                char text[1024];
                return std::string(text, std::strftime(text, sizeof text, form.c_str(), &local));
              }));
  try {
    jinja::Interpreter interpreter(std::move(globals), {});
    return interpreter.render(compiled_->body);
  } catch (const jinja::TemplateError& error) {
    return tl::unexpected(located(compiled_->source, error));
  }
}

std::string messages_json(std::string_view system, std::string_view user) {
  auto message = [](std::string_view role, std::string_view content) {
    jinja::Dict m;
    m.set("role", role);
    m.set("content", content);
    return jinja::Value::dict(std::move(m));
  };
  std::vector<jinja::Value> messages;
  if (!system.empty()) messages.push_back(message("system", system));
  messages.push_back(message("user", user));
  return jinja::to_json(jinja::Value::list(std::move(messages)));
}

}  // namespace retort::text
