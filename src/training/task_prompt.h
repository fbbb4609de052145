// TaskPrompt: what a model is told for one row of a task; stored with what was trained, so that nothing shifts later.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/rows.h"

namespace retort::training {

enum class TaskKind : uint8_t { kClassify, kExtract, kSummarize, kChat };

/// "classify", "extract", "summarize", "chat", and back.
std::string_view name(TaskKind kind);
base::Result<TaskKind> parse_task(std::string_view name);

/// The task that rows of this shape pose: labels classify, fields extract, summaries summarize, all else is chat.
TaskKind task_of(RowShape shape);

/// Turns rows into conversations: the instruction is the system message, the row's text the user's, its answer the
/// assistant's. Chat rows are conversations already and get the instruction only when they have no system message.
class TaskPrompt {
 public:
  /// `instruction` of nothing is the default of the task; an empty one sends none. "{labels}" in it stands for the
  /// labels, joined by ", ".
  TaskPrompt(TaskKind kind, std::optional<std::string> instruction, std::vector<std::string> labels = {});

  TaskKind kind() const { return kind_; }
  /// As given, with "{labels}" in place.
  const std::string& instruction() const { return instruction_; }
  /// Of kClassify: the answers there are, sorted.
  const std::vector<std::string>& labels() const { return labels_; }

  /// Solved rows shown before each new one.
  void set_examples(std::vector<Row> examples) { examples_ = std::move(examples); }

  /// What asks for the row's answer. Of a chat row: all before its last assistant turn.
  Conversation question(const Row& row) const;
  /// The same with the answer: weight 1, or as the row says.
  Conversation solved(const Row& row) const;

  /// {"task", "instruction", "labels"?}: few-shot examples are not kept.
  std::string to_json() const;
  static base::Result<TaskPrompt> from_json(std::string_view json);

 private:
  std::string filled_instruction() const;

  TaskKind kind_;
  std::string instruction_;
  std::vector<std::string> labels_;
  std::vector<Row> examples_;
};

/// "Classify the text. ..." and so on; empty for kChat.
std::string default_instruction(TaskKind kind);

}  // namespace retort::training
