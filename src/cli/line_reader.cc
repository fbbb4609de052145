#include "cli/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

namespace retort::cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr const char* kBlock = "\"\"\"";

}  // namespace

struct LineReader::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  const char* prompt = "> ";
  bool interrupted = false;

  static char* prompt_of(EditLine* line) {
    Editor* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return const_cast<char*>(self->prompt);
  }

  static unsigned char interrupt(EditLine* line, int) {
    Editor* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    self->interrupted = true;
    return CC_EOF;
  }

  // Ctrl-D typed before the terminal hands over single keys (the prompt already shows by then) comes as a NUL, which
  // libedit takes for the key that quotes the next one.
  static unsigned char end_when_empty(EditLine* line, int) {
    const LineInfo* info = el_line(line);
    return info->lastchar == info->buffer ? CC_EOF : CC_NORM;
  }
};

LineReader::LineReader(std::string history_file)
    : history_file_(std::move(history_file)), interactive_(::isatty(STDIN_FILENO) != 0) {
  if (!interactive_) return;
  editor_ = std::make_unique<Editor>();
  editor_->line = el_init("retort", stdin, stdout, stderr);
  editor_->history = history_init();
  if (editor_->line == nullptr || editor_->history == nullptr) return;
  HistEvent event;
  history(editor_->history, &event, H_SETSIZE, kHistoryLines);
  if (!history_file_.empty()) history(editor_->history, &event, H_LOAD, history_file_.c_str());
  el_set(editor_->line, EL_CLIENTDATA, editor_.get());
  el_set(editor_->line, EL_PROMPT, &Editor::prompt_of);
  el_set(editor_->line, EL_EDITOR, "emacs");
  // Ctrl-C comes as a key while a line is edited: libedit takes a read that a signal interrupts up again.
  el_set(editor_->line, EL_SETTY, "-d", "-isig", nullptr);
  // The wide form keeps these pointers; the narrow one makes copies that el_end forgets.
  el_wset(editor_->line, EL_ADDFN, L"retort-interrupt", L"Drop the line", &Editor::interrupt);
  el_wset(editor_->line, EL_ADDFN, L"retort-end", L"End the input if the line is empty", &Editor::end_when_empty);
  el_set(editor_->line, EL_BIND, "^C", "retort-interrupt", nullptr);
  el_set(editor_->line, EL_BIND, "^@", "retort-end", nullptr);
  el_set(editor_->line, EL_HIST, history, editor_->history);
  el_source(editor_->line, nullptr);
}

LineReader::~LineReader() {
  if (editor_ == nullptr) return;
  if (editor_->history != nullptr) history_end(editor_->history);
  if (editor_->line != nullptr) el_end(editor_->line);
}

void LineReader::remember(const std::string& text) {
  if (editor_ == nullptr || editor_->history == nullptr || text.empty()) return;
  HistEvent event;
  history(editor_->history, &event, H_ENTER, text.c_str());
  if (history_file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(history_file_).parent_path(), ignored);
  history(editor_->history, &event, H_SAVE, history_file_.c_str());
}

LineReader::Outcome LineReader::read_line(const char* prompt, std::string& line) {
  if (editor_ == nullptr || editor_->line == nullptr)
    return std::getline(std::cin, line) ? Outcome::kLine : Outcome::kEnd;
  editor_->prompt = prompt;
  editor_->interrupted = false;
  int count = 0;
  const char* typed = el_gets(editor_->line, &count);
  if (editor_->interrupted) {
    std::fputs("^C\n", stdout);
    el_reset(editor_->line);
    return Outcome::kInterrupted;
  }
  if (typed == nullptr || count <= 0) return Outcome::kEnd;
  line.assign(typed, static_cast<size_t>(count));
  if (line.ends_with('\n')) line.pop_back();
  return Outcome::kLine;
}

LineReader::Outcome LineReader::read(std::string& text) {
  std::string line;
  Outcome outcome = read_line("> ", line);
  if (outcome != Outcome::kLine) return outcome;
  text.clear();
  if (line.starts_with(kBlock)) {
    line.erase(0, 3);
    while (!line.ends_with(kBlock)) {
      text += line + "\n";
      outcome = read_line("... ", line);
      if (outcome == Outcome::kInterrupted) return outcome;
      if (outcome == Outcome::kEnd) break;
    }
    if (outcome == Outcome::kLine) text += line.substr(0, line.size() - 3);
  } else {
    while (line.ends_with('\\')) {
      line.back() = '\n';
      text += line;
      line.clear();
      outcome = read_line("... ", line);
      if (outcome == Outcome::kInterrupted) return outcome;
      if (outcome == Outcome::kEnd) break;
    }
    text += line;
  }
  remember(text);
  return Outcome::kLine;
}

}  // namespace retort::cli
