// LineReader: lines from a person at a terminal, with editing and history, or from a pipe.
#pragma once

#include <memory>
#include <string>

namespace retort::cli {

/// Not thread-safe. On a terminal, lines are edited as in a shell (libedit; ~/.editrc is honoured) and kept in a
/// history file from one run to the next.
class LineReader {
 public:
  /// `history_file` may be empty: no history is kept then.
  explicit LineReader(std::string history_file);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };

  /// Reads one message into `text`: a line, several where each but the last ends with a backslash, or all between a
  /// line that begins with """ and one that ends with it. kInterrupted: Ctrl-C, what was typed is dropped.
  Outcome read(std::string& text);

  /// Whether a person types: stdin is a terminal.
  bool interactive() const { return interactive_; }

 private:
  Outcome read_line(const char* prompt, std::string& line);
  void remember(const std::string& text);

  struct Editor;
  std::unique_ptr<Editor> editor_;
  std::string history_file_;
  bool interactive_;
};

}  // namespace retort::cli
