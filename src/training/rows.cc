#include "training/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "text/utf8.h"
#include "training/records.h"

namespace retort::training {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kShapes =
    R"({"messages"}, {"prompt", "completion"}, {"text", "label"}, {"text", "fields"} or {"text", "summary"})";

std::string_view type_name(const Json& value) {
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_boolean()) return "a boolean";
  return "null";
}

/// Text from a file, short and printable, for a message.
std::string excerpt(std::string_view text) {
  bool cut = text.size() > 60;
  return Json(text::repair_utf8(text.substr(0, 60))).dump() + (cut ? "..." : "");
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// Whether brackets are nested deeper than the library's recursive functions should go.
bool too_deep(std::string_view json) {
  constexpr int kMaxDepth = 100;
  int depth = 0;
  bool inside = false;  // a string
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inside && c == '\\')
      ++i;
    else if (c == '"')
      inside = !inside;
    else if (!inside && (c == '[' || c == '{'))
      depth += 1;
    else if (!inside && (c == ']' || c == '}'))
      depth -= 1;
    if (depth > kMaxDepth) return true;
  }
  return false;
}

base::Result<Json> parse(std::string_view text) {
  if (too_deep(text)) return base::fail("JSON nested deeper than 100 levels");
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 7: ...", and, for a number that no double holds,
    // "[json.exception.out_of_range.406] number overflow parsing ...".
    std::string what = error.what();
    size_t column = what.find("column ");
    size_t end = column == std::string::npos ? column : what.find(": ", column);
    std::string where = end == std::string::npos ? "" : " at " + what.substr(column, end - column);
    size_t begin = end == std::string::npos ? what.find("] ") : end;
    std::string why = text::repair_utf8(begin == std::string::npos ? what : what.substr(begin + 2));
    constexpr size_t kLongest = 160;
    if (why.size() > kLongest) why = text::repair_utf8(why.substr(0, kLongest)) + "...";
    return base::fail(fmt::format("not valid JSON{}: {}", where, why));
  }
}

/// A string, or an integer's digits (labels are often numbers).
base::Result<std::string> string_of(const Json& row, const char* key, bool may_be_empty = false) {
  const Json& value = row[key];
  std::string text;
  if (value.is_string())
    text = value.get<std::string>();
  else if (value.is_number_integer())
    text = value.dump();
  else
    return base::fail(fmt::format("\"{}\": expected a string, got {}", key, type_name(value)));
  if (!may_be_empty && blank(text)) return base::fail(fmt::format("\"{}\" is empty", key));
  return text;
}

/// The text of a message's content: a string, null beside tool calls, or OpenAI's list of text parts.
base::Result<std::string> content_of(const Json& message) {
  auto found = message.find("content");
  if (found == message.end() || found->is_null()) {
    if (message.contains("tool_calls") || message.contains("function_call")) return std::string();
    return base::fail("\"content\" is missing");
  }
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return base::fail(fmt::format("\"content\": expected a string, got {}", type_name(*found)));
  std::string text;
  for (const Json& part : *found) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.value("text", Json()).is_string())
      return base::fail("\"content\": only parts {\"type\": \"text\", \"text\": ...} can be used");
    text += part["text"].get<std::string>();
  }
  return text;
}

base::Result<Message> message_of(const Json& entry) {
  if (!entry.is_object()) return base::fail(fmt::format("expected an object, got {}", type_name(entry)));
  auto role = entry.find("role");
  if (role == entry.end() || !role->is_string() || role->get_ref<const std::string&>().empty())
    return base::fail("\"role\": expected \"system\", \"user\", \"assistant\" or \"tool\"");
  Message message;
  message.role = role->get<std::string>();
  constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles))
    return base::fail(fmt::format("\"role\": expected system, user, assistant or tool, got {}", excerpt(message.role)));
  RETORT_TRY(message.content, content_of(entry));
  bool assistant = message.role == "assistant";
  message.weight = assistant ? 1.0f : 0.0f;
  if (auto weight = entry.find("weight"); weight != entry.end()) {
    if (!weight->is_number() || (weight->get<double>() != 0 && weight->get<double>() != 1))
      return base::fail(fmt::format("\"weight\": expected 0 or 1, got {}", excerpt(weight->dump())));
    if (!assistant && weight->get<double>() != 0)
      return base::fail(fmt::format("\"weight\" is for assistant messages, this one is of the {}", message.role));
    message.weight = assistant ? weight->get<float>() : 0.0f;
  }
  bool plain = true;
  for (const auto& [key, value] : entry.items())
    plain = plain && (key == "role" || key == "content" || key == "weight") && !value.is_array();
  if (!plain) {
    Json kept = entry;
    kept.erase("weight");
    if (kept.contains("content") && kept["content"].is_array()) kept["content"] = message.content;
    message.json = kept.dump();
  }
  return message;
}

base::Result<Conversation> conversation_of(const Json& row) {
  const Json& list = row["messages"];
  if (!list.is_array()) return base::fail(fmt::format("\"messages\": expected a list, got {}", type_name(list)));
  if (list.empty()) return base::fail("\"messages\" is empty");
  Conversation conversation;
  bool taught = false;
  for (size_t i = 0; i < list.size(); ++i) {
    base::Result<Message> message = message_of(list[i]);
    if (!message) return base::fail(fmt::format("messages[{}]: {}", i, message.error().message));
    taught = taught || message->weight != 0;
    conversation.messages.push_back(std::move(*message));
  }
  if (!taught) return base::fail("no assistant message with a weight above 0: there is nothing to learn");
  if (auto tools = row.find("tools"); tools != row.end() && !tools->is_null()) {
    if (!tools->is_array()) return base::fail(fmt::format("\"tools\": expected a list, got {}", type_name(*tools)));
    if (!tools->empty()) conversation.tools = tools->dump();
  }
  return conversation;
}

std::optional<RowShape> shape_of(const Json& row) {
  if (row.contains("messages")) return RowShape::kChat;
  if (row.contains("prompt") && row.contains("completion")) return RowShape::kCompletion;
  if (!row.contains("text")) return {};
  if (row.contains("label")) return RowShape::kLabel;
  if (row.contains("fields")) return RowShape::kFields;
  if (row.contains("summary")) return RowShape::kSummary;
  return {};
}

base::Result<Row> row_of(const Json& object, RowShape shape) {
  Row row;
  if (shape == RowShape::kChat) {
    RETORT_TRY(row.chat, conversation_of(object));
    return row;
  }
  bool completion = shape == RowShape::kCompletion;
  RETORT_TRY(row.text, string_of(object, completion ? "prompt" : "text", completion));
  if (shape == RowShape::kFields) {
    const Json& fields = object["fields"];
    if (!fields.is_object())
      return base::fail(fmt::format("\"fields\": expected an object, got {}", type_name(fields)));
    row.answer = fields.dump();
  } else {
    const char* key = completion ? "completion" : shape == RowShape::kLabel ? "label" : "summary";
    RETORT_TRY(row.answer, string_of(object, key));
  }
  return row;
}

/// Collects rows and what is wrong with others.
class Collector {
 public:
  Collector(const std::string& path, const RowOptions& options) : options_(options) { file_.path = path; }

  bool full() const { return options_.max_rows >= 0 && seen_ >= options_.max_rows; }
  void bad(int64_t line, const std::string& reason) {
    ++seen_;
    if (num_bad_++ < options_.max_reported) report_ += fmt::format("\n  {}:{}: {}", file_.path, line, reason);
  }
  void too_long(const RecordReader::Record& record) {
    bad(record.line,
        fmt::format("the row has {:.1f} MB, at most {:.1f} MB are accepted: is a line end missing?",
                    static_cast<double>(record.bytes) / 1e6, static_cast<double>(options_.max_row_bytes) / 1e6));
  }
  /// `given` has the file's own keys.
  void add_json(int64_t line, Json given) {
    std::string_view missing = options_.columns.missing([&](const std::string& key) { return given.contains(key); });
    if (!missing.empty()) return bad(line, fmt::format("there is no key {}", excerpt(missing)));
    Json object = Json::object();
    for (auto& [key, value] : given.items()) {
      std::string_view name = options_.columns.name_of(key);
      if (!name.empty()) object[std::string(name)] = std::move(value);
    }
    add(line, object);
  }
  void add(int64_t line, const Json& object) {
    std::optional<RowShape> shape = shape_of(object);
    if (!shape) {
      std::string keys;
      for (const auto& [key, value] : object.items())
        if (keys.size() < 100) keys += (keys.empty() ? "" : ", ") + excerpt(key);
      return bad(line, fmt::format("expected {}, got the keys {{{}}}", kShapes, keys));
    }
    if (!first_line_) {
      file_.shape = *shape;
      first_line_ = line;
    }
    if (*shape != file_.shape)
      return bad(line, fmt::format("the row is {}, but line {} began with {}: use one shape in a file", name(*shape),
                                   *first_line_, name(file_.shape)));
    base::Result<Row> row = row_of(object, *shape);
    if (!row) return bad(line, row.error().message);
    row->line = line;
    ++seen_;
    file_.rows.push_back(std::move(*row));
  }
  base::Result<RowFile> finish() {
    if (num_bad_ > 0) {
      std::string rest = num_bad_ > options_.max_reported
                             ? fmt::format("\n  and {} more", num_bad_ - options_.max_reported)
                             : std::string();
      return base::fail(
          fmt::format("{}: {} of {} rows cannot be used:{}{}", file_.path, num_bad_, seen_, report_, rest));
    }
    if (file_.rows.empty())
      return base::fail(fmt::format("{}: the file has no rows: expected {}", file_.path, kShapes));
    return std::move(file_);
  }

 private:
  const RowOptions& options_;
  RowFile file_;
  std::optional<int64_t> first_line_;
  int64_t seen_ = 0, num_bad_ = 0;
  std::string report_;
};

base::Result<RowFile> read_json_lines(RecordReader& reader, Collector& rows) {
  RecordReader::Record record;
  std::string text;
  while (!rows.full() && reader.next_line(record, text)) {
    if (record.too_long) {
      rows.too_long(record);
      continue;
    }
    if (blank(text)) continue;
    base::Result<Json> object = parse(text);
    if (!object) {
      bool array = record.line == 1 && text[text.find_first_not_of(" \t")] == '[';
      rows.bad(record.line,
               object.error().message +
                   (array ? "; a JSON list is not JSON lines: write one object a line (jq -c '.[]')" : ""));
      if (array) break;
    } else if (!object->is_object()) {
      rows.bad(record.line, fmt::format("expected one JSON object a line, got {}", type_name(*object)));
    } else {
      rows.add_json(record.line, std::move(*object));
    }
  }
  return rows.finish();
}

base::Result<RowFile> read_csv(RecordReader& reader, Collector& rows, const std::string& path, const Columns& columns) {
  RecordReader::Record record;
  std::vector<std::string> header, fields;
  std::string error;
  if (!reader.next_csv(record, header, error)) return rows.finish();
  if (!error.empty() || record.too_long)
    return base::fail(fmt::format("{}:{}: the header cannot be read: {}", path, record.line,
                                  record.too_long ? "it is too long" : error));
  Json names = Json::object();
  for (const std::string& column : header) {
    if (!text::repair_utf8(column).empty() && text::repair_utf8(column) != column)
      return base::fail(fmt::format("{}:1: the header is not valid UTF-8: save the file as UTF-8", path));
    if (names.contains(column)) return base::fail(fmt::format("{}:1: two columns are named {}", path, excerpt(column)));
    names[column] = "";
  }
  std::string_view missing = columns.missing([&](const std::string& column) { return names.contains(column); });
  if (!missing.empty())
    return base::fail(fmt::format("{}:1: there is no column {}; the header has {}", path, excerpt(missing),
                                  excerpt(fmt::format("{}", fmt::join(header, ",")))));
  names = Json::object();
  for (std::string& column : header) {
    column = columns.name_of(column);
    if (!column.empty()) names[column] = "";
  }
  if (!shape_of(names))
    return base::fail(fmt::format("{}:1: the header has the columns {}; expected {}", path,
                                  excerpt(fmt::format("{}", fmt::join(header, ","))), kShapes));
  while (!rows.full() && reader.next_csv(record, fields, error)) {
    if (record.too_long) {
      rows.too_long(record);
      continue;
    }
    if (!error.empty()) {
      rows.bad(record.line, error);
      continue;
    }
    if (fields.size() != header.size()) {
      rows.bad(record.line, fmt::format("expected {} fields as in the header, got {}", header.size(), fields.size()));
      continue;
    }
    Json object = Json::object();
    std::string reason;
    for (size_t i = 0; i < fields.size() && reason.empty(); ++i) {
      if (header[i].empty()) continue;
      if (text::repair_utf8(fields[i]) != fields[i]) {
        reason = fmt::format("column {} is not valid UTF-8: save the file as UTF-8", excerpt(header[i]));
      } else if (header[i] == "fields" || header[i] == "messages" || header[i] == "tools") {
        base::Result<Json> value = blank(fields[i]) ? base::Result<Json>(Json()) : parse(fields[i]);
        if (value)
          object[header[i]] = std::move(*value);
        else
          reason = fmt::format("column {}: {}", excerpt(header[i]), value.error().message);
      } else {
        object[header[i]] = std::move(fields[i]);
      }
    }
    if (reason.empty())
      rows.add(record.line, object);
    else
      rows.bad(record.line, reason);
  }
  return rows.finish();
}

bool is_csv(const std::string& path) {
  std::string end = path.substr(path.size() < 4 ? 0 : path.size() - 4);
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return std::tolower(c); });
  return end == ".csv";
}

/// Edits (insert, delete, replace) between two short strings, letter case not counted.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      bool same = std::tolower(static_cast<unsigned char>(a[i])) == std::tolower(static_cast<unsigned char>(b[j]));
      size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view name(RowShape shape) {
  switch (shape) {
    case RowShape::kChat:
      return R"({"messages"})";
    case RowShape::kCompletion:
      return R"({"prompt", "completion"})";
    case RowShape::kLabel:
      return R"({"text", "label"})";
    case RowShape::kFields:
      return R"({"text", "fields"})";
    case RowShape::kSummary:
      return R"({"text", "summary"})";
  }
  return "";
}

base::Result<RowFile> read_rows(const std::string& path, const RowOptions& options) {
  RETORT_TRY(RecordReader reader, RecordReader::open(path, options.max_row_bytes));
  Collector rows(path, options);
  return is_csv(path) ? read_csv(reader, rows, path, options.columns) : read_json_lines(reader, rows);
}

std::vector<std::string> distinct_answers(const std::vector<Row>& rows) {
  std::vector<std::string> answers;
  answers.reserve(rows.size());
  for (const Row& row : rows) answers.push_back(row.answer);
  std::sort(answers.begin(), answers.end());
  answers.erase(std::unique(answers.begin(), answers.end()), answers.end());
  return answers;
}

base::Status check_labels(const RowFile& file, const std::vector<std::string>& labels, const std::string& origin,
                          int max_reported) {
  std::string report;
  int64_t bad = 0;
  for (const Row& row : file.rows) {
    if (std::binary_search(labels.begin(), labels.end(), row.answer)) continue;
    if (bad++ >= max_reported) continue;
    std::string hint;
    constexpr size_t kFew = 3, kLongest = 64;
    for (const std::string& label : labels)
      if (label.size() <= kLongest && row.answer.size() <= kLongest && distance(label, row.answer) < kFew)
        hint = fmt::format(" (did you mean {}?)", excerpt(label));
    report += fmt::format("\n  {}:{}: label {} is not one of them{}", file.path, row.line, excerpt(row.answer), hint);
  }
  if (bad == 0) return {};
  if (bad > max_reported) report += fmt::format("\n  and {} more", bad - max_reported);
  return base::fail(fmt::format("{}: {} of {} rows have labels that are not among the {} of {}:{}", file.path, bad,
                                file.rows.size(), labels.size(), origin, report));
}

}  // namespace retort::training
