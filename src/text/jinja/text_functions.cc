#include "text/jinja/text_functions.h"

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/utf8.h"

namespace retort::text::jinja {
std::string strip(std::string_view text, std::optional<std::string_view> characters, bool left, bool right) {
  // Characters are compared whole, so that multi-byte ones in the set do not match parts of others.
  auto in_set = [&](std::string_view character) {
    if (characters) return characters->find(character) != std::string_view::npos;
    Utf8Character c = decode_utf8(character, 0);
    return c.length > 0 && is_space(c.code);
  };
  while (left && !text.empty()) {
    size_t length = code_point_offset(text, 1);
    if (!in_set(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    if (!in_set(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return std::string(text);
}

std::string replace(Interpreter& interpreter, std::string_view text, std::string_view from, std::string_view to,
                    int64_t count) {
  std::string out;
  auto put = [&](std::string_view piece) {
    interpreter.check_size(static_cast<int64_t>(out.size() + piece.size()));
    out += piece;
  };
  interpreter.spend(static_cast<int64_t>(text.size()) / 64);
  size_t at = 0;
  while (count != 0) {
    if (from.empty()) {  // between all characters
      put(to);
      --count;
      if (at >= text.size()) return out;
      size_t length = code_point_offset(text.substr(at), 1);
      put(text.substr(at, length));
      at += length;
      interpreter.spend(1);
      continue;
    }
    size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    put(text.substr(at, found - at));
    put(to);
    at = found + from.size();
    --count;
    interpreter.spend(1);
  }
  put(text.substr(std::min(at, text.size())));
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  auto ends_line = [](uint32_t c) {
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<std::string> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    size_t next = at + static_cast<size_t>(std::max(c.length, 1));
    if (c.length > 0 && ends_line(c.code)) {
      if (text.substr(at, 2) == "\r\n") ++next;
      lines.emplace_back(text.substr(start, (keep_ends ? next : at) - start));
      start = next;
    }
    at = next;
  }
  if (start < text.size()) lines.emplace_back(text.substr(start));
  return lines;
}

Value escape(const Value& value) {
  if (value.is_markup()) return value;
  std::string out;
  for (char c : value.str()) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return Value::markup(std::move(out));
}

}  // namespace retort::text::jinja
