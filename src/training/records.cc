#include "training/records.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace retort::training {
namespace {

constexpr int kEnd = std::char_traits<char>::eof();

}  // namespace

RecordReader::RecordReader(std::unique_ptr<std::filebuf> file, int64_t max_bytes)
    : file_(std::move(file)), max_bytes_(max_bytes) {
  // A byte-order mark is no part of the first row.
  for (int expected : {0xef, 0xbb, 0xbf}) {
    if (peek() != expected) {
      file_->pubseekpos(0);
      break;
    }
    take();
  }
}

base::Result<RecordReader> RecordReader::open(const std::string& path, int64_t max_bytes) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code))
    return base::fail(fmt::format("{}: expected a file with rows, this is a folder", path));
  auto file = std::make_unique<std::filebuf>();
  if (file->open(path, std::ios::in | std::ios::binary) == nullptr)
    return base::fail(fmt::format("{}: cannot open: {}", path, std::generic_category().message(errno)));
  return RecordReader(std::move(file), max_bytes);
}

bool RecordReader::next_line(Record& record, std::string& text) {
  text.clear();
  record = {line_, 0, false};
  if (peek() == kEnd) return false;
  for (int c = take(); c != kEnd && c != '\n'; c = take()) {
    if (++record.bytes <= max_bytes_)
      text += static_cast<char>(c);
    else
      record.too_long = true;
  }
  ++line_;
  if (record.too_long) std::string().swap(text);
  if (text.ends_with('\r')) text.pop_back();
  return true;
}

bool RecordReader::next_csv(Record& record, std::vector<std::string>& fields, std::string& error) {
  fields.clear();
  error.clear();
  while (peek() == '\n' || peek() == '\r')
    if (take() == '\n') ++line_;
  record = {line_, 0, false};
  if (peek() == kEnd) return false;
  fields.emplace_back();
  bool quoted = false, closed = false;  // inside quotes; after the closing quote of a field
  for (;;) {
    int c = take();
    if (quoted && c == kEnd) {
      error = "the file ends inside a quoted field: expected a closing quote";
      break;
    }
    if (c == kEnd) break;
    ++record.bytes;
    if (c == '\n') ++line_;
    if (record.bytes > max_bytes_) record.too_long = true;
    if (quoted) {
      if (c == '"' && peek() != '"') {
        quoted = false;
        closed = true;
        continue;
      }
      if (c == '"') {
        take();
        ++record.bytes;
      }
    } else if (c == '\n') {
      break;
    } else if (c == '\r' && (peek() == '\n' || peek() == kEnd)) {
      continue;
    } else if (c == ',') {
      fields.emplace_back();
      closed = false;
      continue;
    } else if (c == '"' && fields.back().empty() && !closed) {
      quoted = true;
      continue;
    } else if (c == '"' || closed) {
      error = fmt::format("field {}: {}", fields.size(),
                          closed ? "text after the closing quote: expected a comma or the end of the line"
                                 : "a quote inside an unquoted field: put the field in quotes and double the quote");
      while (peek() != kEnd && peek() != '\n') take();
      continue;
    }
    if (!record.too_long)
      fields.back() += static_cast<char>(c);
    else
      for (std::string& field : fields) std::string().swap(field);
  }
  return true;
}

}  // namespace retort::training
