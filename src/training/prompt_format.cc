#include "training/prompt_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace retort::training {
namespace {

std::string message_json(const Message& message) {
  if (!message.json.empty()) return message.json;
  return nlohmann::ordered_json{{"role", message.role}, {"content", message.content}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The messages with a leading system message moved into the user turn after it.
std::vector<Message> without_system(const std::vector<Message>& messages) {
  std::vector<Message> merged(messages.begin() + 1, messages.end());
  if (merged.empty() || merged.front().role != "user") return messages;
  merged.front().content = messages.front().content + "\n\n" + merged.front().content;
  merged.front().json.clear();
  return merged;
}

bool starts_with(const std::vector<int32_t>& whole, const std::vector<int32_t>& start) {
  return whole.size() >= start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

}  // namespace

base::Result<PromptFormat> PromptFormat::create(const formats::GgufFile& file, const text::Tokenizer& tokenizer,
                                                const std::string& template_source) {
  PromptFormat format(tokenizer);
  const text::Vocabulary& vocabulary = tokenizer.vocabulary();
  if (vocabulary.bos) format.bos_ = vocabulary.piece(*vocabulary.bos);
  if (vocabulary.eos) format.eos_ = vocabulary.piece(*vocabulary.eos);
  std::string source = template_source;
  if (source.empty()) {
    RETORT_TRY(std::optional<std::string_view> own, file.string("tokenizer.chat_template"));
    if (!own) return format;
    source = *own;
  }
  RETORT_TRY(text::ChatTemplate compiled, text::ChatTemplate::compile(std::move(source), format.bos_, format.eos_));
  format.template_ = std::make_shared<const text::ChatTemplate>(std::move(compiled));
  constexpr std::string_view kProbe = "c7b1 instruction";
  text::ChatRequest request;
  request.messages = text::messages_json(kProbe, "text");
  base::Result<std::string> probe = format.template_->render(request);
  format.takes_system_ = probe && probe->find(kProbe) != std::string::npos;
  return format;
}

std::string PromptFormat::render_plain(const Conversation& conversation, size_t num_messages, bool ask) const {
  std::string text;
  for (size_t i = 0; i < num_messages; ++i) {
    const Message& message = conversation.messages[i];
    bool answer = message.role == "assistant";
    if (conversation.raw) {
      text += message.content;
      if (answer) text += eos_;
    } else if (answer) {
      text += "Output: " + message.content + eos_ + "\n\n";
    } else if (message.role == "system") {
      text += message.content + "\n\n";
    } else {
      text += "Input: " + message.content + "\n";
    }
  }
  // No space at the end: tokenizers join it to the word that follows.
  if (ask && !conversation.raw) text += "Output:";
  return text;
}

base::Result<std::string> PromptFormat::render_template(const Conversation& conversation, size_t num_messages,
                                                        bool ask) const {
  std::vector<Message> merged;
  std::span<const Message> messages(conversation.messages.data(), num_messages);
  if (!takes_system_ && num_messages > 0 && messages.front().role == "system") {
    merged = without_system({messages.begin(), messages.end()});
    messages = merged;
  }
  text::ChatRequest request;
  request.messages = "[";
  for (const Message& message : messages) {
    if (request.messages.size() > 1) request.messages += ",";
    request.messages += message_json(message);
  }
  request.messages += "]";
  request.tools = conversation.tools;
  request.add_generation_prompt = ask;
  return template_->render(request);
}

base::Result<std::string> PromptFormat::render(const Conversation& conversation, size_t num_messages, bool ask) const {
  if (template_ == nullptr) return render_plain(conversation, num_messages, ask);
  return render_template(conversation, num_messages, ask);
}

std::vector<int32_t> PromptFormat::encode(std::string_view rendered) const {
  text::EncodeOptions options;
  options.add_bos = tokenizer_->adds_bos() && (bos_.empty() || !rendered.starts_with(bos_));
  return tokenizer_->encode(rendered, options);
}

base::Result<std::vector<int32_t>> PromptFormat::prompt(const Conversation& conversation) const {
  RETORT_TRY(std::string text, render(conversation, conversation.messages.size(), true));
  return encode(text);
}

base::Result<std::vector<int32_t>> PromptFormat::completion(const Conversation& conversation, size_t turn,
                                                            const std::string& asked,
                                                            const std::vector<int32_t>& prompt) const {
  RETORT_TRY(std::string answered, render(conversation, turn + 1, false));
  // A template whose rendered turn does not begin as its generation prompt does (an opened reasoning block): the answer
  // still has to follow the prompt that will ask for it.
  if (!answered.starts_with(asked)) answered = asked + conversation.messages[turn].content;
  std::vector<int32_t> whole = encode(answered), tokens;
  if (starts_with(whole, prompt)) {
    tokens.assign(whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()), whole.end());
  } else {
    text::EncodeOptions options;
    options.add_bos = false;
    tokens = tokenizer_->encode(std::string_view(answered).substr(asked.size()), options);
  }
  auto end = std::find_if(tokens.begin(), tokens.end(), [&](int32_t id) { return tokenizer_->ends_generation(id); });
  if (end != tokens.end())
    tokens.erase(end + 1, tokens.end());
  else if (tokenizer_->vocabulary().eos)
    tokens.push_back(*tokenizer_->vocabulary().eos);
  return tokens;
}

base::Result<std::vector<Example>> PromptFormat::examples(const Conversation& conversation) const {
  std::vector<Example> examples;
  for (size_t turn = 0; turn < conversation.messages.size(); ++turn) {
    float weight = conversation.messages[turn].weight;
    if (weight == 0) continue;
    RETORT_TRY(std::string asked, render(conversation, turn, true));
    std::vector<int32_t> prompt = encode(asked);
    RETORT_TRY(std::vector<int32_t> answer, completion(conversation, turn, asked, prompt));
    if (prompt.empty()) {  // the first token is predicted from nothing: it cannot be trained
      prompt.assign(answer.begin(), answer.begin() + (answer.empty() ? 0 : 1));
      answer.erase(answer.begin(), answer.begin() + (answer.empty() ? 0 : 1));
    }
    if (examples.empty() || !starts_with(prompt, examples.back().tokens)) examples.emplace_back();
    Example& example = examples.back();
    example.tokens = std::move(prompt);
    example.loss_weights.resize(example.tokens.size(), 0.0f);
    example.tokens.insert(example.tokens.end(), answer.begin(), answer.end());
    example.loss_weights.resize(example.tokens.size(), weight);
  }
  if (examples.empty())
    return base::fail("nothing to learn: expected at least one assistant message with a weight above 0");
  return examples;
}

}  // namespace retort::training
