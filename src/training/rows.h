// Rows: reads the data files that people have: JSON lines in the usual shapes, and CSV.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/columns.h"
#include "training/prompt_format.h"

namespace retort::training {

/// The shapes of rows. All rows of a file have the same.
enum class RowShape : uint8_t {
  kChat,        // {"messages": [{"role", "content", "weight"?}, ...], "tools"?}: OpenAI's fine-tuning format
  kCompletion,  // {"prompt", "completion"}
  kLabel,       // {"text", "label"}
  kFields,      // {"text", "fields": {...}}
  kSummary,     // {"text", "summary"}
};

/// `{"text", "label"}` and so on, for messages.
std::string_view name(RowShape shape);

struct Row {
  int64_t line = 0;    // where it begins in the file, from 1
  std::string text;    // the text or prompt
  std::string answer;  // the label, summary, completion, or the fields as compact JSON in the row's order
  Conversation chat;   // of RowShape::kChat; every assistant turn has weight 1 unless the row says otherwise
};

struct RowFile {
  std::string path;
  RowShape shape = RowShape::kChat;
  std::vector<Row> rows;
};

struct RowOptions {
  int64_t max_row_bytes = int64_t{16} << 20;  // a longer row is reported; it is never held in memory
  int64_t max_rows = -1;                      // stop reading after so many; negative: read all
  int max_reported = 20;                      // bad rows that the error message shows
  Columns columns = {};                       // what the file calls its columns or keys
};

/// Reads a file: RFC 4180 CSV with a header when the name ends in .csv, JSON lines otherwise; "\r\n" and a byte-order
/// mark are fine, empty lines are passed over. A CSV's columns, and the keys of JSON, carry the names above unless
/// `columns` says otherwise; in CSV, "fields" and "messages" hold JSON. Fails when the file cannot be read, has no
/// rows, or when any row is bad: not JSON, not UTF-8, of no known shape, of another shape than the rows before it, with
/// a value of the wrong type or an empty answer. The message counts the bad rows and shows the first of them, one a
/// line, as `FILE:LINE: reason`.
base::Result<RowFile> read_rows(const std::string& path, const RowOptions& options = {});

/// The distinct answers, sorted: the labels of a classification set.
std::vector<std::string> distinct_answers(const std::vector<Row>& rows);

/// Fails when rows carry labels that are not in `labels` (sorted), naming each such row with the nearest known label;
/// `origin` says where the known ones come from.
base::Status check_labels(const RowFile& file, const std::vector<std::string>& labels, const std::string& origin,
                          int max_reported = 20);

}  // namespace retort::training
