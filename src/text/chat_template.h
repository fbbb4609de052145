// ChatTemplate: turns a conversation into the prompt its model was trained on, by the Jinja template in the model's
// file.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace retort::text {

/// What a template is rendered with, as JSON texts in OpenAI's form.
struct ChatRequest {
  std::string messages;   // [{"role": "user", "content": "..."}, ...]
  std::string tools;      // [{"type": "function", "function": {...}}, ...]; empty: none
  std::string variables;  // {"enable_thinking": false, ...}; empty: none
  bool add_generation_prompt = true;
  std::optional<std::time_t> now;  // for strftime_now; default: the clock
};

/// A compiled template: immutable and thread-safe. Renders as transformers' apply_chat_template does (jinja2 with
/// trim_blocks and lstrip_blocks, tojson without HTML escapes, raise_exception, strftime_now). Hostile templates run
/// into limits, not out of memory.
class ChatTemplate {
 public:
  /// Fails with `template:LINE:COLUMN: what is wrong`.
  static base::Result<ChatTemplate> compile(std::string source, std::string bos_token, std::string eos_token);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// The prompt. Fails when the request is not valid JSON of that form, or with the template's line and column when it
  /// raises an exception or meets something it cannot compute.
  base::Result<std::string> render(const ChatRequest& request) const;

 private:
  struct Compiled;
  explicit ChatTemplate(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

/// The messages of one exchange as JSON: an optional system message and one of the user.
std::string messages_json(std::string_view system, std::string_view user);

}  // namespace retort::text
