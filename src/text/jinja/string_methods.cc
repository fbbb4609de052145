// Methods of Python's str.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/text_functions.h"
#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

const std::string& text_argument(const Value& value, const char* method) {
  if (!value.is_string()) throw TemplateError{fmt::format("{}() takes a string, got {}", method, value.type_name())};
  return value.as_string();
}

/// A prefix or suffix test that also takes a tuple.
template <class Test>
bool any_of_strings(const Value& value, const char* method, Test test) {
  if (!value.is_list()) return test(text_argument(value, method));
  const auto& items = value.as_list().items;
  return std::any_of(items.begin(), items.end(), [&](const Value& v) { return test(text_argument(v, method)); });
}

Value split(Interpreter& interpreter, const std::string& text, const Arguments& a, bool from_right) {
  Value separator = a.get(0, "sep", Value::none());
  Value limit = a.get(1, "maxsplit", -1);
  if (!limit.is_int()) throw TemplateError{"split() takes an integer as maxsplit"};
  int64_t most = limit.as_int() < 0 ? INT64_MAX : limit.as_int();
  interpreter.spend(static_cast<int64_t>(text.size()) / 16);
  std::vector<Value> parts;
  if (separator.is_none()) {
    std::string_view rest = text;
    while (true) {
      if (from_right)
        rest = rest.substr(0, without_trailing_space(rest));
      else
        rest.remove_prefix(leading_space(rest));
      if (rest.empty()) break;
      if (static_cast<int64_t>(parts.size()) >= most) {
        parts.emplace_back(rest);
        break;
      }
      size_t at = from_right ? rest.size() : 0;
      if (from_right) {
        while (at > 0 && without_trailing_space(rest.substr(0, at)) == at) --at;
        parts.emplace_back(rest.substr(at));
        rest = rest.substr(0, at);
      } else {
        while (at < rest.size() && leading_space(rest.substr(at)) == 0) ++at;
        parts.emplace_back(rest.substr(0, at));
        rest.remove_prefix(at);
      }
    }
    if (from_right) std::reverse(parts.begin(), parts.end());
    return Value::list(std::move(parts));
  }
  const std::string& mark = text_argument(separator, "split");
  if (mark.empty()) throw TemplateError{"empty separator"};
  std::string_view rest = text;
  while (static_cast<int64_t>(parts.size()) < most) {
    size_t found = from_right ? rest.rfind(mark) : rest.find(mark);
    if (found == std::string_view::npos) break;
    interpreter.spend(1);
    if (from_right) {
      parts.emplace_back(rest.substr(found + mark.size()));
      rest = rest.substr(0, found);
    } else {
      parts.emplace_back(rest.substr(0, found));
      rest.remove_prefix(found + mark.size());
    }
  }
  parts.emplace_back(rest);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return Value::list(std::move(parts));
}

/// The part of the text that the arguments after `first` choose, as Python's start and end do.
std::string_view window(const std::string& text, const Arguments& a, size_t first) {
  if (a.positional.size() <= first) return text;
  int64_t size = code_points(text), bounds[2] = {0, size};
  for (size_t i = 0; i < 2 && first + i < a.positional.size(); ++i) {
    const Value& bound = a.positional[first + i];
    if (bound.is_none()) continue;
    if (!bound.is_int()) throw TemplateError{"slice indices must be integers or None"};
    bounds[i] = std::clamp<int64_t>(bound.as_int() < 0 ? bound.as_int() + size : bound.as_int(), 0, size);
  }
  size_t begin = code_point_offset(text, bounds[0]), end = code_point_offset(text, std::max(bounds[0], bounds[1]));
  return std::string_view(text).substr(begin, end - begin);
}

Value find(const std::string& text, const Arguments& a, const char* method, bool from_right) {
  const std::string& part = text_argument(a.get(0, "sub"), method);
  std::string_view in = window(text, a, 1);
  size_t found = from_right ? in.rfind(part) : in.find(part);
  if (found == std::string::npos) return -1;
  return code_points(std::string_view(text).substr(0, static_cast<size_t>(in.data() - text.data()) + found));
}

Value index(const std::string& text, const Arguments& a, const char* method, bool from_right) {
  Value at = find(text, a, method, from_right);
  if (at.as_int() < 0) throw TemplateError{"substring not found"};
  return at;
}

Value partition(const std::string& text, const Arguments& a, const char* method, bool from_right) {
  const std::string& mark = text_argument(a.get(0, "sep"), method);
  if (mark.empty()) throw TemplateError{"empty separator"};
  size_t found = from_right ? text.rfind(mark) : text.find(mark);
  if (found == std::string::npos)
    return from_right ? Value::list({"", "", text}, true) : Value::list({text, "", ""}, true);
  return Value::list({text.substr(0, found), mark, text.substr(found + mark.size())}, true);
}

/// ljust, rjust and center: filled up with `left` parts of 2 of what is missing before the text.
Value filled(Interpreter& interpreter, const std::string& text, const Arguments& a, int left) {
  Value width = a.get(0, "width"), fill = a.get(1, "fillchar", " ");
  if (!width.is_int()) throw TemplateError{"the width must be an integer"};
  if (!fill.is_string() || code_points(fill.as_string()) != 1)
    throw TemplateError{"The fill character must be exactly one character long"};
  int64_t missing = width.as_int() - code_points(text);
  if (missing <= 0) return text;
  interpreter.check_size(missing * 4);
  interpreter.spend(missing / 16);
  // Python puts the odd one of center() before the text when the width is odd.
  int64_t before = left == 0 ? 0 : left == 2 ? missing : missing / 2 + (missing & width.as_int() & 1);
  std::string out;
  for (int64_t i = 0; i < before; ++i) out += fill.as_string();
  out += text;
  for (int64_t i = before; i < missing; ++i) out += fill.as_string();
  return Value(std::move(out));
}

Value zero_filled(Interpreter& interpreter, const std::string& text, Arguments& a) {
  bool sign = text.starts_with('-') || text.starts_with('+');
  Value width = a.get(0, "width");
  if (!width.is_int()) throw TemplateError{"the width must be an integer"};
  Arguments rest;
  rest.positional = {width.as_int() - (sign && width.as_int() > 0 ? 1 : 0), "0"};
  return Value(text.substr(0, sign ? 1 : 0) + filled(interpreter, text.substr(sign ? 1 : 0), rest, 2).as_string());
}

Value with_tabs_expanded(const std::string& text, const Arguments& a) {
  Value given = a.get(0, "tabsize", 8);
  if (!given.is_int() || given.as_int() < 0 || given.as_int() > 100)
    throw TemplateError{"expandtabs() takes a number of columns from 0 to 100"};
  std::string out;
  int64_t column = 0;
  for (char c : text) {
    if (c == '\t') {
      int64_t blanks = given.as_int() > 0 ? given.as_int() - column % given.as_int() : 0;
      out.append(static_cast<size_t>(blanks), ' ');
      column += blanks;
      continue;
    }
    out += c;
    if (c == '\n' || c == '\r')
      column = 0;
    else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
      ++column;
  }
  return Value(std::move(out));
}

bool is_identifier(const std::string& text) {
  bool digit_first = !text.empty() && text[0] >= '0' && text[0] <= '9';
  return !digit_first && all_characters(text, [](uint32_t c) { return c == '_' || is_letter(c) || is_decimal(c); });
}

std::optional<std::string_view> characters(const Arguments& a, Value& holder) {
  holder = a.get(0, "chars", Value::none());
  if (holder.is_none()) return std::nullopt;
  return text_argument(holder, "strip");
}

#define RETORT_STRING(body)                                       \
  [](Interpreter& in, const Value& self, Arguments& a) -> Value { \
    const std::string& s = self.as_string();                      \
    (void)in;                                                     \
    (void)a;                                                      \
    (void)s;                                                      \
    body                                                          \
  }

}  // namespace

const std::map<std::string, Method>& string_methods() {
  static const std::map<std::string, Method> methods = {
      {"strip", RETORT_STRING({
         Value h;
         return strip(s, characters(a, h), true, true);
       })},
      {"lstrip", RETORT_STRING({
         Value h;
         return strip(s, characters(a, h), true, false);
       })},
      {"rstrip", RETORT_STRING({
         Value h;
         return strip(s, characters(a, h), false, true);
       })},
      {"upper", RETORT_STRING({ return upper(s); })},
      {"lower", RETORT_STRING({ return lower(s); })},
      {"title", RETORT_STRING({ return title(s); })},
      {"capitalize", RETORT_STRING({ return capitalize(s); })},
      {"split", RETORT_STRING({ return split(in, s, a, false); })},
      {"rsplit", RETORT_STRING({ return split(in, s, a, true); })},
      {"splitlines", RETORT_STRING({
         std::vector<Value> lines;
         for (std::string& line : split_lines(s, a.get(0, "keepends", false).truthy()))
           lines.emplace_back(std::move(line));
         return Value::list(std::move(lines));
       })},
      {"startswith", RETORT_STRING({
         return any_of_strings(a.get(0, "prefix"), "startswith",
                               [&](const std::string& p) { return window(s, a, 1).starts_with(p); });
       })},
      {"endswith", RETORT_STRING({
         return any_of_strings(a.get(0, "suffix"), "endswith",
                               [&](const std::string& p) { return window(s, a, 1).ends_with(p); });
       })},
      {"replace", RETORT_STRING({
         Value count = a.get(2, "count", -1);
         if (!count.is_int()) throw TemplateError{"replace() takes an integer as count"};
         return replace(in, s, text_argument(a.get(0, "old"), "replace"), text_argument(a.get(1, "new"), "replace"),
                        count.as_int());
       })},
      {"find", RETORT_STRING({ return find(s, a, "find", false); })},
      {"rfind", RETORT_STRING({ return find(s, a, "rfind", true); })},
      {"index", RETORT_STRING({ return index(s, a, "index", false); })},
      {"rindex", RETORT_STRING({ return index(s, a, "rindex", true); })},
      {"partition", RETORT_STRING({ return partition(s, a, "partition", false); })},
      {"rpartition", RETORT_STRING({ return partition(s, a, "rpartition", true); })},
      {"ljust", RETORT_STRING({ return filled(in, s, a, 0); })},
      {"center", RETORT_STRING({ return filled(in, s, a, 1); })},
      {"rjust", RETORT_STRING({ return filled(in, s, a, 2); })},
      {"zfill", RETORT_STRING({ return zero_filled(in, s, a); })},
      {"expandtabs", RETORT_STRING({ return with_tabs_expanded(s, a); })},
      {"swapcase", RETORT_STRING({ return swap_case(s); })},
      {"casefold", RETORT_STRING({ return fold_case(s); })},
      {"count", RETORT_STRING({
         const std::string& part = text_argument(a.get(0, "sub"), "count");
         std::string_view text = window(s, a, 1);
         if (part.empty()) return code_points(text) + 1;
         int64_t count = 0;
         for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
         return count;
       })},
      {"join", RETORT_STRING({
         std::string out;
         bool first = true;
         for (const Value& v : in.iterate(a.get(0, "iterable"))) {
           if (!first) out += s;
           first = false;
           out += text_argument(v, "join");
           in.check_size(static_cast<int64_t>(out.size()));
         }
         return Value(std::move(out));
       })},
      {"format", RETORT_STRING({ return format_braces(in, s, a); })},
      {"removeprefix", RETORT_STRING({
         const std::string& p = text_argument(a.get(0, "prefix"), "removeprefix");
         return s.starts_with(p) ? s.substr(p.size()) : s;
       })},
      {"removesuffix", RETORT_STRING({
         const std::string& p = text_argument(a.get(0, "suffix"), "removesuffix");
         return s.ends_with(p) ? s.substr(0, s.size() - p.size()) : s;
       })},
      {"isdigit", RETORT_STRING({ return all_characters(s, is_digit); })},
      {"isnumeric", RETORT_STRING({ return all_characters(s, is_numeric); })},
      {"isdecimal", RETORT_STRING({ return all_characters(s, is_decimal); })},
      {"isalpha", RETORT_STRING({ return all_characters(s, is_letter); })},
      {"isalnum",
       RETORT_STRING({ return all_characters(s, [](uint32_t c) { return is_letter(c) || is_numeric(c); }); })},
      {"isspace", RETORT_STRING({ return all_characters(s, is_space); })},
      {"isascii", RETORT_STRING({ return s.empty() || all_characters(s, [](uint32_t c) { return c < 128; }); })},
      {"isprintable", RETORT_STRING({ return s.empty() || all_characters(s, is_printable); })},
      {"isidentifier", RETORT_STRING({ return is_identifier(s); })},
      {"isupper", RETORT_STRING({ return is_upper(s); })},
      {"islower", RETORT_STRING({ return is_lower(s); })},
      {"istitle", RETORT_STRING({ return is_title(s); })},
  };
  return methods;
}

#undef RETORT_STRING

}  // namespace retort::text::jinja
