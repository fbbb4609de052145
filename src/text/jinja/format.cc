#include "text/jinja/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/jinja/text_functions.h"

namespace retort::text::jinja {
namespace {

constexpr int kWidest = 1000;  // of a field: hostile templates must not fill memory with blanks

/// What stands between % and the letter.
struct Spec {
  std::string flags, name;
  bool named = false;
  int width = 0, precision = -1;
};

int number_at(std::string_view text, size_t& at) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), number);
  size_t length = static_cast<size_t>(end - (text.data() + at));
  if (length > 0 && (error != std::errc() || number > kWidest))
    throw TemplateError{fmt::format("a field of a format is wider than {}", kWidest)};
  at += length;
  return number;
}

/// After the %; leaves `at` on the letter.
Spec spec_at(std::string_view text, size_t& at) {
  Spec spec;
  if (at < text.size() && text[at] == '(') {
    size_t end = text.find(')', at);
    if (end == std::string_view::npos) throw TemplateError{"incomplete format key"};
    spec.named = true;
    spec.name = text.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  while (at < text.size() && std::string_view("-+ #0").find(text[at]) != std::string_view::npos)
    spec.flags += text[at++];
  if (at < text.size() && text[at] >= '0' && text[at] <= '9') spec.width = number_at(text, at);
  if (at < text.size() && text[at] == '.') spec.precision = number_at(text, ++at);
  if (at >= text.size()) throw TemplateError{"incomplete format"};
  return spec;
}

std::string padded(std::string text, const Spec& spec) {
  if (spec.precision >= 0) text.resize(code_point_offset(text, spec.precision));
  int64_t missing = spec.width - code_points(text);
  if (missing <= 0) return text;
  std::string blanks(static_cast<size_t>(missing), ' ');
  return spec.flags.find('-') != std::string::npos ? text + blanks : blanks + text;
}

std::string number(const Value& value, const Spec& spec, char kind) {
  bool integer = kind == 'd' || kind == 'i' || kind == 'x';
  if (!value.is_number() || (kind == 'x' && value.is_float()) ||
      (integer && value.is_float() && !(std::fabs(value.as_number()) < 9.2e18)))
    throw TemplateError{fmt::format("%{} format: a number is required, not {}", kind, value.type_name())};
  std::string form = "%" + spec.flags + std::to_string(spec.width);
  if (spec.precision >= 0) form += "." + std::to_string(spec.precision);
  char buffer[3 * kWidest];
  if (integer) {
    form += kind == 'x' ? "llx" : "lld";
    int64_t whole = value.is_float() ? static_cast<int64_t>(value.as_number()) : value.as_int();
    std::snprintf(buffer, sizeof buffer, form.c_str(), static_cast<long long>(whole));
  } else {
    std::snprintf(buffer, sizeof buffer, (form + kind).c_str(), value.as_number());
  }
  return buffer;
}

}  // namespace

Value format_percent(const Value& format, const Arguments& values) {
  std::string_view text = format.as_string();
  auto shown = [&](const std::string& s) { return format.is_markup() ? escape(Value(s)).as_string() : s; };
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    Spec spec = spec_at(text, ++at);
    char kind = text[at];
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (!spec.named && next >= values.positional.size()) throw TemplateError{"not enough arguments for format string"};
    Value value = spec.named ? values.get(SIZE_MAX, spec.name) : values.positional[next++];
    if (spec.named && value.is_undefined()) throw TemplateError{fmt::format("no value for '{}'", spec.name)};
    if (kind == 's')
      out += padded(value.is_markup() ? value.as_string() : shown(value.str()), spec);
    else if (kind == 'r')
      out += padded(shown(value.repr()), spec);
    else if (std::string_view("dixfge").find(kind) != std::string_view::npos)
      out += number(value, spec, kind);
    else
      throw TemplateError{fmt::format("unsupported format character '{}'", kind)};
  }
  if (next < values.positional.size()) throw TemplateError{"not all arguments converted during string formatting"};
  return format.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
}

namespace {

/// A value as a replacement field's "!r" and ":spec" have it; fmt's specs are Python's.
std::string field(const Value& value, std::string_view conversion, std::string_view spec) {
  if (!conversion.empty() && conversion != "s" && conversion != "r")
    throw TemplateError{fmt::format("format() takes !s and !r, got !{}", conversion)};
  std::string text = conversion == "r" ? value.repr() : value.str();
  if (spec.empty()) return text;
  int digits = 0;
  for (char c : spec) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 3 || c == '{' || c == '}') throw TemplateError{fmt::format("format() cannot take ':{}'", spec)};
  }
  std::string form = "{:" + std::string(spec) + "}";
  try {
    if (!conversion.empty() || !value.is_number() || value.is_bool())
      return fmt::vformat(form, fmt::make_format_args(text));
    if (value.is_float() || std::string_view("eEfFgG%").find(spec.back()) != std::string_view::npos) {
      double real = value.as_number();
      return fmt::vformat(form, fmt::make_format_args(real));
    }
    int64_t whole = value.as_int();
    return fmt::vformat(form, fmt::make_format_args(whole));
  } catch (const fmt::format_error&) {
    throw TemplateError{fmt::format("format() cannot show '{}' as ':{}'", value.type_name(), spec)};
  }
}

}  // namespace

std::string format_braces(Interpreter& interpreter, const std::string& text, const Arguments& a) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    bool brace = text[at] == '{' || text[at] == '}';
    if (brace && at + 1 < text.size() && text[at + 1] == text[at]) {
      out += text[at++];
    } else if (text[at] == '{') {
      size_t end = text.find('}', at);
      if (end == std::string::npos) throw TemplateError{"expected '}' before end of string"};
      std::string_view inside = std::string_view(text).substr(at + 1, end - at - 1);
      size_t colon = std::min(inside.find(':'), inside.size());
      std::string_view spec = inside.substr(std::min(colon + 1, inside.size())), head = inside.substr(0, colon);
      size_t mark = std::min(head.find('!'), head.size());
      std::string_view conversion = head.substr(std::min(mark + 1, head.size()));
      std::string name(head.substr(0, mark));
      if (name.find_first_of(".[") != std::string::npos)
        throw TemplateError{"format() takes no attributes and items of values"};
      bool index = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos && name.size() < 6;
      Value value = name.empty() ? a.get(next++, "") : index ? a.get(std::stoul(name), "") : a.get(SIZE_MAX, name);
      if (value.is_undefined()) throw TemplateError{fmt::format("format() has no value for field '{}'", name)};
      out += field(value, conversion, spec);
      interpreter.check_size(static_cast<int64_t>(out.size()));
      at = end;
    } else if (brace) {
      throw TemplateError{"single '}' encountered in format string"};
    } else {
      out += text[at];
    }
  }
  return out;
}

}  // namespace retort::text::jinja
