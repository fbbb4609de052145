// PromptFormat: how conversations become tokens for one model, the same for training, evaluation and serving.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "training/example.h"

namespace retort::training {

/// One turn of a conversation, in OpenAI's terms.
struct Message {
  std::string role;  // "system", "user", "assistant", "tool", ...
  std::string content;
  float weight = 0;  // loss weight of an assistant's turn; 0: context only
  std::string json;  // the whole message where role and content do not tell all of it (tool calls); else empty
};

struct Conversation {
  std::vector<Message> messages;
  std::string tools;  // JSON list of function schemas; empty: none
  bool raw = false;   // without a chat template: the contents as they are, one after the other
};

/// Renders through the model's chat template. A base model without one gets a plain format instead:
/// system text and an empty line; `Input: ` text; `Output: ` text, then the end-of-sequence token.
/// A system message goes into the first user turn where a template has no place for it. Immutable and thread-safe; the
/// model file and tokenizer must outlive it.
class PromptFormat {
 public:
  /// `template_source`, a Jinja template, replaces the model's own. Fails when the template does not compile.
  static base::Result<PromptFormat> create(const formats::GgufFile& file, const text::Tokenizer& tokenizer,
                                           const std::string& template_source = "");

  /// The prompt that asks the assistant for its next turn. Fails with the template's message when it refuses the
  /// conversation.
  base::Result<std::vector<int32_t>> prompt(const Conversation& conversation) const;

  /// The conversation as training sequences: each weighted assistant turn is what follows exactly the prompt that
  /// would have asked for it, up to and with the token that ends it. One Example, unless the template renders
  /// earlier turns differently once later ones follow (reasoning that is dropped): then one for each stretch that
  /// agrees. Fails when no turn has a weight. Lines are left at 0.
  base::Result<std::vector<Example>> examples(const Conversation& conversation) const;

  bool has_template() const { return template_ != nullptr; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  explicit PromptFormat(const text::Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  base::Result<std::string> render(const Conversation& conversation, size_t num_messages, bool ask) const;
  std::string render_plain(const Conversation& conversation, size_t num_messages, bool ask) const;
  base::Result<std::string> render_template(const Conversation& conversation, size_t num_messages, bool ask) const;
  std::vector<int32_t> encode(std::string_view rendered) const;
  base::Result<std::vector<int32_t>> completion(const Conversation& conversation, size_t turn, const std::string& asked,
                                                const std::vector<int32_t>& prompt) const;

  const text::Tokenizer* tokenizer_;
  std::shared_ptr<const text::ChatTemplate> template_;
  bool takes_system_ = true;
  std::string bos_, eos_;
};

}  // namespace retort::training
