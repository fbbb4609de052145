#include "training/task_prompt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace retort::training {
namespace {

constexpr TaskKind kKinds[] = {TaskKind::kClassify, TaskKind::kExtract, TaskKind::kSummarize, TaskKind::kChat};
constexpr std::string_view kLabels = "{labels}";

}  // namespace

std::string_view name(TaskKind kind) {
  switch (kind) {
    case TaskKind::kClassify:
      return "classify";
    case TaskKind::kExtract:
      return "extract";
    case TaskKind::kSummarize:
      return "summarize";
    case TaskKind::kChat:
      return "chat";
  }
  return "";
}

base::Result<TaskKind> parse_task(std::string_view text) {
  for (TaskKind kind : kKinds)
    if (name(kind) == text) return kind;
  return base::fail(fmt::format("task \"{}\": expected classify, extract, summarize or chat", text));
}

TaskKind task_of(RowShape shape) {
  switch (shape) {
    case RowShape::kLabel:
      return TaskKind::kClassify;
    case RowShape::kFields:
      return TaskKind::kExtract;
    case RowShape::kSummary:
      return TaskKind::kSummarize;
    case RowShape::kChat:
    case RowShape::kCompletion:
      break;
  }
  return TaskKind::kChat;
}

std::string default_instruction(TaskKind kind) {
  switch (kind) {
    case TaskKind::kClassify:
      return "Classify the text. Answer with one of: {labels}.";
    case TaskKind::kExtract:
      return "Extract the fields of the text as JSON.";
    case TaskKind::kSummarize:
      return "Summarize the text in one line.";
    case TaskKind::kChat:
      break;
  }
  return "";
}

TaskPrompt::TaskPrompt(TaskKind kind, std::optional<std::string> instruction, std::vector<std::string> labels)
    : kind_(kind),
      instruction_(instruction ? std::move(*instruction) : default_instruction(kind)),
      labels_(std::move(labels)) {
  std::sort(labels_.begin(), labels_.end());
}

std::string TaskPrompt::filled_instruction() const {
  std::string text = instruction_;
  std::string list = fmt::format("{}", fmt::join(labels_, ", "));
  for (size_t at = text.find(kLabels); at != std::string::npos; at = text.find(kLabels, at + list.size()))
    text.replace(at, kLabels.size(), list);
  return text;
}

Conversation TaskPrompt::question(const Row& row) const {
  Conversation conversation;
  std::string instruction = filled_instruction();
  bool chat = !row.chat.messages.empty();
  bool has_system = chat && row.chat.messages.front().role == "system";
  if (!instruction.empty() && !has_system) conversation.messages.push_back({"system", instruction, 0, ""});
  for (const Row& example : examples_) {
    conversation.messages.push_back({"user", example.text, 0, ""});
    conversation.messages.push_back({"assistant", example.answer, 0, ""});
  }
  if (chat) {
    const std::vector<Message>& messages = row.chat.messages;
    size_t last = messages.size();
    while (last > 0 && messages[last - 1].role != "assistant") --last;
    conversation.messages.insert(conversation.messages.end(), messages.begin(),
                                 messages.begin() + static_cast<std::ptrdiff_t>(last > 0 ? last - 1 : messages.size()));
    conversation.tools = row.chat.tools;
  } else {
    conversation.messages.push_back({"user", row.text, 0, ""});
    // A prompt with its completion continues as it stands where there is no chat template.
    conversation.raw = kind_ == TaskKind::kChat && instruction.empty();
  }
  return conversation;
}

Conversation TaskPrompt::solved(const Row& row) const {
  Conversation conversation = question(row);
  if (row.chat.messages.empty()) {
    conversation.messages.push_back({"assistant", row.answer, 1, ""});
    return conversation;
  }
  const std::vector<Message>& messages = row.chat.messages;
  size_t shown = messages.size();  // of the row's messages, in the question
  while (shown > 0 && messages[shown - 1].role != "assistant") --shown;
  if (shown > 0)
    conversation.messages.insert(conversation.messages.end(), messages.begin() + static_cast<std::ptrdiff_t>(shown - 1),
                                 messages.end());
  return conversation;
}

std::string TaskPrompt::to_json() const {
  nlohmann::ordered_json object = {{"task", name(kind_)}, {"instruction", instruction_}};
  if (!labels_.empty()) object["labels"] = labels_;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

base::Result<TaskPrompt> TaskPrompt::from_json(std::string_view json) {
  nlohmann::json object = nlohmann::json::parse(json, nullptr, false);
  auto is_string = [&](const char* key) { return object.contains(key) && object[key].is_string(); };
  if (!object.is_object() || !is_string("task") || !is_string("instruction"))
    return base::fail("task prompt: expected a JSON object with \"task\" and \"instruction\"");
  RETORT_TRY(TaskKind kind, parse_task(object["task"].get<std::string>()));
  std::vector<std::string> labels;
  if (auto found = object.find("labels"); found != object.end()) {
    if (!found->is_array()) return base::fail("task prompt: \"labels\": expected a list of strings");
    for (const auto& label : *found) {
      if (!label.is_string()) return base::fail("task prompt: \"labels\": expected a list of strings");
      labels.push_back(label.get<std::string>());
    }
  }
  return TaskPrompt(kind, object["instruction"].get<std::string>(), std::move(labels));
}

}  // namespace retort::training
