#include "text/jinja/text_functions.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cctype>

#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

constexpr std::string_view kSpaces = " \t\n\r\f\v";

template <class Convert>
std::string convert(std::string_view text, Convert change) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    if (c.length == 0) {
      out += text[at++];
      continue;
    }
    append_utf8(out, change(c.code));
    at += static_cast<size_t>(c.length);
  }
  return out;
}

uint32_t upper_code(uint32_t code) {
  return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code)));
}
uint32_t lower_code(uint32_t code) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

bool is_letter(uint32_t code) {
  utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

}  // namespace

std::string strip(std::string_view text, std::optional<std::string_view> characters, bool left, bool right) {
  // Characters are compared whole, so that multi-byte ones in the set do not match parts of others.
  auto in_set = [&](std::string_view character) {
    return characters.value_or(kSpaces).find(character) != std::string_view::npos;
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

std::string upper(std::string_view text) {
  return convert(text, upper_code);
}
std::string lower(std::string_view text) {
  return convert(text, lower_code);
}

std::string capitalize(std::string_view text) {
  bool first = true;
  return convert(text, [&first](uint32_t code) {
    uint32_t changed = first ? upper_code(code) : lower_code(code);
    first = false;
    return changed;
  });
}

std::string title(std::string_view text, bool as_filter) {
  bool in_word = false;
  return convert(text, [&](uint32_t code) {
    uint32_t changed = in_word ? lower_code(code) : upper_code(code);
    if (as_filter)  // words are cut at hyphens, white space and brackets
      in_word =
          code > 127 || std::string_view("-( {[<\t\n\r\f\v").find(static_cast<char>(code)) == std::string_view::npos;
    else
      in_word = is_letter(code);
    return changed;
  });
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

std::string format_percent(std::string_view text, const std::vector<Value>& values) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    std::string spec;
    for (++at; at < text.size() && std::string_view("0123456789.-+ #").find(text[at]) != std::string_view::npos; ++at)
      spec += text[at];
    if (at >= text.size()) throw TemplateError{"incomplete format"};
    char kind = text[at];
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (next >= values.size()) throw TemplateError{"not enough arguments for format string"};
    const Value& value = values[next++];
    if (spec.size() > 8) throw TemplateError{"format is too long"};
    char buffer[512];
    switch (kind) {
      case 's':
        out += value.str();
        break;
      case 'r':
        out += value.repr();
        break;
      case 'd':
      case 'i':
        if (!value.is_number())
          throw TemplateError{fmt::format("%d format: a number is required, not {}", value.type_name())};
        std::snprintf(
            buffer, sizeof buffer, ("%" + spec + "lld").c_str(),
            static_cast<long long>(value.is_float() ? static_cast<int64_t>(value.as_number()) : value.as_int()));
        out += buffer;
        break;
      case 'x':
        if (!value.is_int()) throw TemplateError{"%x format: an integer is required"};
        std::snprintf(buffer, sizeof buffer, ("%" + spec + "llx").c_str(), static_cast<long long>(value.as_int()));
        out += buffer;
        break;
      case 'f':
      case 'g':
      case 'e':
        if (!value.is_number()) throw TemplateError{fmt::format("must be real number, not {}", value.type_name())};
        std::snprintf(buffer, sizeof buffer, ("%" + spec + kind).c_str(), value.as_number());
        out += buffer;
        break;
      default:
        throw TemplateError{fmt::format("unsupported format character '{}'", kind)};
    }
  }
  return out;
}

}  // namespace retort::text::jinja
