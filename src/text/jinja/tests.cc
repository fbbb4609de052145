// Jinja's built-in tests: what stands after "is".
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"

namespace retort::text::jinja {
namespace {

bool is_test(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "!=",       "<",           "<=",          "==",      ">",       ">=",        "boolean",  "callable",
      "defined",  "divisibleby", "eq",          "equalto", "escaped", "even",      "false",    "filter",
      "float",    "ge",          "greaterthan", "gt",      "in",      "integer",   "iterable", "le",
      "lessthan", "lower",       "lt",          "mapping", "ne",      "none",      "number",   "odd",
      "sameas",   "sequence",    "string",      "test",    "true",    "undefined", "upper"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

bool Interpreter::apply_test(const std::string& name, const Value& value, Arguments& a) {
  spend(1);
  auto other = [&]() -> const Value& {
    if (a.positional.empty()) throw TemplateError{fmt::format("test '{}' needs an argument", name)};
    return a.positional[0];
  };
  auto integer = [&](const Value& v) {
    if (!v.is_number() || v.is_float())
      throw TemplateError{fmt::format("test '{}' takes integers, got {}", name, v.type_name())};
    return v.as_int();
  };
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.is_none();
  if (name == "string") return value.is_string();
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is_int();
  if (name == "float") return value.is_float();
  if (name == "boolean") return value.is_bool();
  if (name == "true") return value.is_bool() && value.as_bool();
  if (name == "false") return value.is_bool() && !value.as_bool();
  if (name == "mapping") return value.is_dict() && !value.as_dict().name_space;
  if (name == "sequence" && value.is_list()) return value.as_list().can_be_indexed();
  if (name == "sequence") return value.is_string() || value.is_dict() || value.is_undefined();
  if (name == "iterable") return value.is_list() || value.is_string() || value.is_dict() || value.is_undefined();
  if (name == "callable") return value.is_callable() || value.is_undefined();  // as jinja2's Undefined
  if (name == "sameas")
    return value.identity() != nullptr ? value.identity() == other().identity()
                                       : value.kind() == other().kind() && value.equals(other());
  if (name == "equalto" || name == "eq" || name == "==") return value.equals(other());
  if (name == "ne" || name == "!=") return !value.equals(other());
  if (name == "lt" || name == "<" || name == "lessthan") return value.less(other());
  if (name == "gt" || name == ">" || name == "greaterthan") return other().less(value);
  if (name == "le" || name == "<=") return value.equals(other()) || value.less(other());
  if (name == "ge" || name == ">=") return value.equals(other()) || other().less(value);
  if (name == "in") return contains(other(), value);
  if (name == "odd") return integer(value) % 2 != 0;
  if (name == "even") return integer(value) % 2 == 0;
  if (name == "divisibleby") {
    int64_t by = integer(other());
    if (by == 0) throw TemplateError{"division by zero"};
    return by == -1 || integer(value) % by == 0;
  }
  if (name == "lower") return is_lower(value.str());
  if (name == "upper") return is_upper(value.str());
  if (name == "filter") return value.is_string() && is_filter(value.as_string());
  if (name == "test") return value.is_string() && is_test(value.as_string());
  if (name == "escaped") return value.is_markup();
  throw TemplateError{fmt::format("no test named '{}'", name)};
}

}  // namespace retort::text::jinja
