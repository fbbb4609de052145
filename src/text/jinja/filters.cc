// Jinja's built-in filters.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/json.h"
#include "text/jinja/text_functions.h"
#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

using Filter = Value (*)(Interpreter&, const Value&, Arguments&);

/// `text` as markup when `original` is.
Value like(const Value& original, std::string text) {
  return original.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

int64_t length_of(const Value& value) {
  if (value.is_list() && value.as_list().form == List::Form::kIterator)
    throw TemplateError{fmt::format("object of type '{}' has no len()", value.type_name())};
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return 0;
    case Value::Kind::kString:
      return code_points(value.as_string());
    case Value::Kind::kList:
      return static_cast<int64_t>(value.as_list().items.size());
    case Value::Kind::kDict:
      return static_cast<int64_t>(value.as_dict().items.size());
    default:
      throw TemplateError{fmt::format("object of type '{}' has no len()", value.type_name())};
  }
}

/// The number that a text holds, as Python's int(text, base) reads it; nothing when it holds none.
std::optional<int64_t> integer_in(std::string text, int64_t base) {
  bool negative = text.starts_with('-');
  size_t at = negative || text.starts_with('+') ? 1 : 0;
  auto prefixed = [&](char letter) {
    return text.size() > at + 1 && text[at] == '0' && std::tolower(static_cast<unsigned char>(text[at + 1])) == letter;
  };
  for (auto [letter, named] : {std::pair('x', 16), std::pair('o', 8), std::pair('b', 2)}) {
    if (!prefixed(letter) || (base != named && base != 0)) continue;
    base = named;
    at += 2;
    break;
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) return {};
  std::string digits;
  for (; at < text.size(); ++at) {
    bool between = !digits.empty() && text[at - 1] != '_' && at + 1 < text.size();
    if (text[at] != '_') digits += text[at];
    if (text[at] == '_' && !between) return {};
  }
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (digits.starts_with('-') || error != std::errc() || end != digits.data() + digits.size()) return {};
  return negative ? -value : value;
}

/// The same of float(text).
std::optional<double> real_in(const std::string& text) {
  const char *begin = text.data(), *end = begin + text.size();
  if (begin != end && *begin == '+' && end - begin > 1 && begin[1] != '-') ++begin;
  double real = 0;
  auto [at, error] = std::from_chars(begin, end, real);
  if (begin == end || at != end || error == std::errc::invalid_argument) return {};
  if (error == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);  // infinite, or zero
  return real;
}

Value to_int(const Value& value, const Arguments& a) {
  Value fallback = a.get(0, "default", 0);
  std::optional<double> real;
  if (value.is_float()) {
    real = value.as_number();
  } else if (value.is_number()) {
    return value.as_int();
  } else if (value.is_string()) {
    std::string text = strip(value.as_string(), std::nullopt, true, true);
    if (auto integer = integer_in(text, integer_of(a.get(1, "base", 10), "int"))) return *integer;
    real = real_in(text);
  }
  if (!real || !(std::fabs(*real) < 9.2e18)) return fallback;
  return static_cast<int64_t>(*real);
}

Value to_float(const Value& value, const Value& fallback) {
  if (value.is_number()) return value.as_number();
  if (!value.is_string()) return fallback;
  auto real = real_in(strip(value.as_string(), std::nullopt, true, true));
  return real ? Value(*real) : fallback;
}

Value indent(Interpreter& in, const Value& value, Arguments& a) {
  if (!value.is_string()) throw TemplateError{fmt::format("indent takes a string, got {}", value.type_name())};
  Value width = a.get(0, "width", 4);
  std::string by =
      width.is_string()
          ? width.as_string()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(integer_of(width, "indent"), 0, 1000)), ' ');
  bool first = a.get(1, "first", false).truthy(), blank = a.get(2, "blank", false).truthy();
  std::string out;
  bool at_start = true;
  for (const std::string& line : split_lines(value.as_string() + "\n", false)) {
    if (!at_start) out += '\n';
    if (at_start ? first : blank || !line.empty()) out += by;
    out += line;
    in.check_size(static_cast<int64_t>(out.size()));
    in.spend(1);
    at_start = false;
  }
  return like(value, std::move(out));
}

Value to_json_filter(Interpreter&, const Value& value, Arguments& a) {
  JsonStyle style;
  style.ascii = a.get(0, "ensure_ascii", false).truthy();
  Value spaces = a.get(1, "indent", Value::none());
  if (spaces.is_string() && spaces.as_string().size() <= 100) style.indent = spaces.as_string();
  if (spaces.is_int())
    style.indent = std::string(static_cast<size_t>(std::clamp<int64_t>(spaces.as_int(), 0, 100)), ' ');
  Value separators = a.get(2, "separators", Value::none());
  if (separators.is_list() && separators.as_list().items.size() == 2) {
    style.item_separator = separators.as_list().items[0].str();
    style.key_separator = separators.as_list().items[1].str();
  }
  style.sort_keys = a.get(3, "sort_keys", false).truthy();
  return to_json(value, style);
}

Value rounded(const Value& value, const Arguments& a) {
  if (!value.is_number()) throw TemplateError{fmt::format("round takes a number, got {}", value.type_name())};
  int64_t precision = std::clamp<int64_t>(integer_of(a.get(0, "precision", 0), "round"), -300, 300);
  std::string method = a.get(1, "method", "common").str();
  double scale = std::pow(10.0, static_cast<double>(precision)), number = value.as_number();
  if (method == "ceil") return std::ceil(number * scale) / scale;
  if (method == "floor") return std::floor(number * scale) / scale;
  if (method != "common") throw TemplateError{"round's method is \"common\", \"ceil\" or \"floor\""};
  if (!value.is_float() && precision >= 0) return value.as_int();
  if (!value.is_float()) return static_cast<int64_t>(std::nearbyint(number * scale) / scale);
  if (!std::isfinite(number) || precision > 20) return number;
  if (precision < 0) return std::nearbyint(number * scale) / scale;
  return std::strtod(fmt::format("{:.{}f}", number, precision).c_str(), nullptr);  // from the exact decimal value
}

Value truncate(const Value& value, const Arguments& a) {
  std::string text = value.str();
  Value end = a.get(2, "end", "...");
  int64_t length = integer_of(a.get(0, "length", 255), "truncate");
  int64_t leeway = integer_of(a.get(3, "leeway", 5), "truncate"), end_length = code_points(end.str());
  if (length < end_length) throw TemplateError{fmt::format("expected length >= {}, got {}", end_length, length)};
  if (leeway < 0) throw TemplateError{fmt::format("expected leeway >= 0, got {}", leeway)};
  if (code_points(text) - length <= leeway) return like(value, std::move(text));
  std::string cut = text.substr(0, code_point_offset(text, length - end_length));
  if (!a.get(1, "killwords", false).truthy()) {
    if (size_t space = cut.rfind(' '); space != std::string::npos) cut.resize(space);
  }
  return like(value, cut + (value.is_markup() ? escape(end) : end).str());
}

/// Runs of letters, digits and "_".
int64_t count_words(Interpreter& in, std::string_view text) {
  in.spend(static_cast<int64_t>(text.size()) / 16);
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    bool part = c.length > 0 && (c.code == '_' || is_letter(c.code) || is_numeric(c.code));
    words += part && !in_word ? 1 : 0;
    in_word = part;
    at += static_cast<size_t>(std::max(c.length, 1));
  }
  return words;
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> all = [] {
    std::map<std::string, Filter> f;
    f["tojson"] = to_json_filter;
    f["trim"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      Value set = a.get(0, "chars", Value::none());
      return like(v, strip(v.str(), set.is_string() ? std::optional<std::string_view>(set.as_string()) : std::nullopt,
                           true, true));
    };
    f["length"] = f["count"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return length_of(v); };
    f["join"] = join;
    f["default"] = f["d"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      bool missing = v.is_undefined() || (a.get(1, "boolean", false).truthy() && !v.truthy());
      return missing ? a.get(0, "default_value", "") : v;
    };
    f["first"] = first;
    f["last"] = last;
    f["map"] = map;
    f["select"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return choose(in, v, a, false, true); };
    f["reject"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return choose(in, v, a, false, false); };
    f["selectattr"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      return choose(in, v, a, true, true);
    };
    f["rejectattr"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      return choose(in, v, a, true, false);
    };
    f["list"] = [](Interpreter& in, const Value& v, Arguments&) -> Value { return Value::list(in.iterate(v)); };
    f["string"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return like(v, v.str()); };
    f["safe"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return Value::markup(v.str()); };
    f["int"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return to_int(v, a); };
    f["float"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      return to_float(v, a.get(0, "default", 0.0));
    };
    f["lower"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return like(v, lower(v.str())); };
    f["upper"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return like(v, upper(v.str())); };
    f["title"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return title_filter(v.str()); };
    f["capitalize"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return like(v, capitalize(v.str())); };
    f["replace"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      Value count = a.get(2, "count", Value::none());
      return replace(in, v.str(), a.get(0, "old").str(), a.get(1, "new").str(), count.is_int() ? count.as_int() : -1);
    };
    f["items"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      if (v.is_undefined()) return generator({});
      if (!v.is_dict()) throw TemplateError{"Can only get item pairs from a mapping."};
      Arguments none;
      return generator(in.iterate(in.call(method_of(in, v, "items"), none)));
    };
    f["dictsort"] = dict_sort;
    f["sort"] = sort;
    f["unique"] = unique;
    f["reverse"] = reverse;
    f["indent"] = indent;
    f["escape"] = f["e"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return escape(v); };
    f["forceescape"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return escape(Value(v.str())); };
    f["abs"] = [](Interpreter&, const Value& v, Arguments&) -> Value {
      if (!v.is_number()) throw TemplateError{fmt::format("bad operand type for abs(): '{}'", v.type_name())};
      if (v.is_float()) return std::fabs(v.as_number());
      if (v.as_int() == INT64_MIN) throw TemplateError{"the result is too large for 64 bits"};
      return std::abs(v.as_int());
    };
    f["round"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return rounded(v, a); };
    f["sum"] = sum;
    f["min"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return extreme(in, v, a, false); };
    f["max"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return extreme(in, v, a, true); };
    f["batch"] = batch;
    f["slice"] = slice;
    f["groupby"] = group_by;
    f["truncate"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return truncate(v, a); };
    f["wordcount"] = [](Interpreter& in, const Value& v, Arguments&) -> Value { return count_words(in, v.str()); };
    f["center"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      Value width = a.get(0, "width", 80);
      Arguments given;
      given.positional = {width};
      return in.call(method_of(in, v.is_string() ? v : Value(v.str()), "center"), given);
    };
    f["format"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      return format_percent(v.is_string() ? v : Value(v.str()), a);
    };
    f["attr"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      std::string name = a.get(0, "name").str();  // attributes only: items of dicts are none
      if (!v.is_dict() || v.as_dict().name_space) return in.attribute(v, name);
      Value method = method_of(in, v, name);
      return method.is_undefined() ? Value::undefined(fmt::format("dict object' has no attribute '{}", name)) : method;
    };
    return f;
  }();
  return all;
}

}  // namespace

bool is_filter(const std::string& name) {
  return filters().count(name) != 0;
}

Value Interpreter::apply_filter(const std::string& name, const Value& value, Arguments& arguments) {
  spend(1);
  auto found = filters().find(name);
  if (found == filters().end()) throw TemplateError{fmt::format("no filter named '{}'", name)};
  return found->second(*this, value, arguments);
}

}  // namespace retort::text::jinja
