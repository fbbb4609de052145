// Jinja's built-in filters and tests.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "text/jinja/interpreter.h"
#include "text/jinja/json.h"
#include "text/jinja/text_functions.h"

namespace retort::text::jinja {
namespace {

using Filter = Value (*)(Interpreter&, const Value&, Arguments&);

/// "a.b.0" of an item, as map(attribute=...) and sort(attribute=...) mean it.
Value path_of(Interpreter& in, Value value, const Value& path) {
  if (!path.is_string()) return in.item(value, path);
  std::string_view rest = path.as_string();
  while (true) {
    size_t dot = std::min(rest.find('.'), rest.size());
    std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    bool number = !part.empty() &&
                  std::from_chars(part.data(), part.data() + part.size(), index).ptr == part.data() + part.size();
    value = number ? in.item(value, index) : in.item(value, Value(part));
    if (dot == rest.size()) return value;
    rest.remove_prefix(dot + 1);
  }
}

int64_t length_of(const Value& value) {
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

/// A copy for comparisons that ignore case.
Value folded(const Value& value, bool case_sensitive) {
  return value.is_string() && !case_sensitive ? Value(lower(value.as_string())) : value;
}

std::vector<Value> sorted(Interpreter& in, std::vector<Value> items, const Value& attribute, bool case_sensitive,
                          bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    Value key = attribute.is_none() || attribute.is_undefined() ? item : path_of(in, item, attribute);
    keyed.emplace_back(folded(key, case_sensitive), item);
  }
  in.spend(static_cast<int64_t>(items.size()) * 16);
  // Python's reverse keeps equal items in their order.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? b.first.less(a.first) : a.first.less(b.first);
  });
  std::vector<Value> out;
  for (auto& entry : keyed) out.push_back(std::move(entry.second));
  return out;
}

Value to_int(const Value& value, const Value& fallback) {
  if (value.is_float()) {
    if (!(std::fabs(value.as_number()) < 9.2e18)) return fallback;
    return static_cast<int64_t>(value.as_number());
  }
  if (value.is_number()) return value.as_int();
  if (value.is_string()) {
    std::string text = strip(value.as_string(), std::nullopt, true, true);
    const char *begin = text.data(), *end = begin + text.size();
    if (begin != end && *begin == '+') ++begin;
    int64_t integer = 0;
    auto [at, error] = std::from_chars(begin, end, integer);
    if (error == std::errc() && at == end) return integer;
    double real = 0;
    auto [real_at, real_error] = std::from_chars(begin, end, real);
    if (real_error == std::errc() && real_at == end && std::fabs(real) < 9.2e18) return static_cast<int64_t>(real);
  }
  return fallback;
}

Value to_float(const Value& value, const Value& fallback) {
  if (value.is_number()) return value.as_number();
  if (value.is_string()) {
    std::string text = strip(value.as_string(), std::nullopt, true, true);
    double real = 0;
    const char *begin = text.data(), *end = begin + text.size();
    auto [at, error] = std::from_chars(begin, end, real);
    if (begin != end && error == std::errc() && at == end) return real;
  }
  return fallback;
}

/// select, reject, selectattr and rejectattr.
Value choose(Interpreter& in, const Value& value, Arguments& a, bool by_attribute, bool keep) {
  Arguments rest;
  Value attribute;
  size_t used = 0;
  if (by_attribute) {
    if (a.positional.empty()) throw TemplateError{"missing the name of the attribute"};
    attribute = a.positional[used++];
  }
  std::string test;
  if (a.positional.size() > used) test = a.positional[used++].str();
  rest.positional.assign(a.positional.begin() + static_cast<std::ptrdiff_t>(used), a.positional.end());
  rest.named = a.named;
  std::vector<Value> items;
  if (!value.truthy()) return Value::list({});  // none and the like have no items here, as jinja2 has it
  for (const Value& item : in.iterate(value)) {
    Value tested = by_attribute ? path_of(in, item, attribute) : item;
    bool holds = test.empty() ? tested.truthy() : in.apply_test(test, tested, rest);
    if (holds == keep) items.push_back(item);
  }
  return Value::list(std::move(items));
}

Value map(Interpreter& in, const Value& value, Arguments& a) {
  std::vector<Value> items;
  if (!value.truthy()) return Value::list({});
  Value attribute = a.get(SIZE_MAX, "attribute");
  if (!attribute.is_undefined()) {
    Value fallback = a.get(SIZE_MAX, "default");
    for (const Value& item : in.iterate(value)) {
      Value found = path_of(in, item, attribute);
      items.push_back(found.is_undefined() && !fallback.is_undefined() ? fallback : found);
    }
    return Value::list(std::move(items));
  }
  if (a.positional.empty()) throw TemplateError{"map requires a filter argument"};
  Arguments rest;
  rest.positional.assign(a.positional.begin() + 1, a.positional.end());
  rest.named = a.named;
  for (const Value& item : in.iterate(value)) items.push_back(in.apply_filter(a.positional[0].str(), item, rest));
  return Value::list(std::move(items));
}

Value join(Interpreter& in, const Value& value, Arguments& a) {
  std::string out, separator = a.get(0, "d", "").str();
  Value attribute = a.get(1, "attribute", Value::none());
  bool first = true;
  for (const Value& item : in.iterate(value)) {
    if (!first) out += separator;
    first = false;
    out += (attribute.is_none() ? item : path_of(in, item, attribute)).str();
    in.check_size(static_cast<int64_t>(out.size()));
  }
  return Value(std::move(out));
}

Value indent(Interpreter& in, const Value& value, Arguments& a) {
  Value width = a.get(0, "width", 4);
  std::string by = width.is_string()
                       ? width.as_string()
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(width.as_int(), 0, 1000)), ' ');
  bool first = a.get(1, "first", false).truthy(), blank = a.get(2, "blank", false).truthy();
  std::string text = value.str() + "\n", out;
  bool at_start = true;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    if (!at_start) out += '\n';
    if ((at_start && first) || (!at_start && (blank || !line.empty()))) out += by;
    out += line;
    in.check_size(static_cast<int64_t>(out.size()));
    at_start = false;
    at = end + 1;
  }
  return Value(std::move(out));
}

Value to_json_filter(Interpreter&, const Value& value, Arguments& a) {
  JsonStyle style;
  style.ascii = a.get(0, "ensure_ascii", false).truthy();
  Value spaces = a.get(1, "indent", Value::none());
  if (spaces.is_int()) style.indent = static_cast<int>(std::clamp<int64_t>(spaces.as_int(), 0, 100));
  Value separators = a.get(2, "separators", Value::none());
  if (separators.is_list() && separators.as_list().items.size() == 2) {
    style.item_separator = separators.as_list().items[0].str();
    style.key_separator = separators.as_list().items[1].str();
  }
  style.sort_keys = a.get(3, "sort_keys", false).truthy();
  return to_json(value, style);
}

Value unique(Interpreter& in, const Value& value, Arguments& a) {
  bool case_sensitive = a.get(0, "case_sensitive", false).truthy();
  Value attribute = a.get(1, "attribute", Value::none());
  std::vector<Value> items, seen;
  for (const Value& item : in.iterate(value)) {
    Value key = folded(attribute.is_none() ? item : path_of(in, item, attribute), case_sensitive);
    in.spend(static_cast<int64_t>(seen.size()) / 8 + 1);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& v) { return v.equals(key); })) continue;
    seen.push_back(key);
    items.push_back(item);
  }
  return Value::list(std::move(items));
}

Value extreme(Interpreter& in, const Value& value, Arguments& a, bool largest) {
  bool case_sensitive = a.get(0, "case_sensitive", false).truthy();
  Value attribute = a.get(1, "attribute", Value::none());
  Value best, best_key;
  for (const Value& item : in.iterate(value)) {
    Value key = folded(attribute.is_none() ? item : path_of(in, item, attribute), case_sensitive);
    if (best_key.is_undefined() || (largest ? best_key.less(key) : key.less(best_key))) {
      best = item;
      best_key = key;
    }
  }
  return best;
}

Value batch(Interpreter& in, const Value& value, Arguments& a) {
  Value count = a.get(0, "linecount");
  if (!count.is_int() || count.as_int() < 1) throw TemplateError{"batch() takes a positive number"};
  Value fill = a.get(1, "fill_with", Value::none());
  std::vector<Value> rows, row;
  for (const Value& item : in.iterate(value)) {
    row.push_back(item);
    if (static_cast<int64_t>(row.size()) == count.as_int()) rows.push_back(Value::list(std::exchange(row, {})));
  }
  in.check_size(count.as_int() * 32);
  while (!row.empty() && !fill.is_none() && static_cast<int64_t>(row.size()) < count.as_int()) row.push_back(fill);
  if (!row.empty()) rows.push_back(Value::list(std::move(row)));
  return Value::list(std::move(rows));
}

Value group_by(Interpreter& in, const Value& value, Arguments& a) {
  Value attribute = a.get(0, "attribute");
  std::vector<Value> groups;
  Value last;
  for (const Value& item :
       sorted(in, in.iterate(value), attribute, a.get(2, "case_sensitive", false).truthy(), false)) {
    Value key = path_of(in, item, attribute);
    if (groups.empty() || !folded(key, false).equals(folded(last, false))) {
      Dict group;
      group.set("grouper", key);
      group.set("list", Value::list({}));
      groups.push_back(Value::list({key, *group.find("list")}, true));
      last = key;
    }
    groups.back().as_list().items[1].as_list().items.push_back(item);
  }
  return Value::list(std::move(groups));
}

Value dict_sort(Interpreter& in, const Value& value, Arguments& a) {
  if (!value.is_dict()) throw TemplateError{"dictsort takes a mapping"};
  std::vector<Value> items;
  for (const auto& [key, item] : value.as_dict().items) items.push_back(Value::list({key, item}, true));
  int by = a.get(1, "by", "key").str() == "value" ? 1 : 0;
  return Value::list(sorted(in, std::move(items), by, a.get(0, "case_sensitive", false).truthy(),
                            a.get(2, "reverse", false).truthy()));
}

Value rounded(const Value& value, const Arguments& a) {
  if (!value.is_number()) throw TemplateError{fmt::format("round takes a number, got {}", value.type_name())};
  double scale = std::pow(10.0, static_cast<double>(a.get(0, "precision", 0).as_int()));
  std::string method = a.get(1, "method", "common").str();
  double scaled = value.as_number() * scale;
  return (method == "ceil"    ? std::ceil(scaled)
          : method == "floor" ? std::floor(scaled)
                              : std::nearbyint(scaled)) /
         scale;
}

Value escape(const Value& value) {
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
  return Value(std::move(out));
}

Value truncate(const Value& value, const Arguments& a) {
  std::string text = value.str(), end = a.get(2, "end", "...").str();
  int64_t length = a.get(0, "length", 255).as_int(), leeway = a.get(3, "leeway", 5).as_int();
  if (code_points(text) <= length + leeway) return text;
  int64_t keep = std::max<int64_t>(0, length - code_points(end));
  std::string cut = text.substr(0, code_point_offset(text, keep));
  if (!a.get(1, "killwords", false).truthy()) {
    if (size_t space = cut.rfind(' '); space != std::string::npos) cut.resize(space);
  }
  return cut + end;
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> all = [] {
    std::map<std::string, Filter> f;
    f["tojson"] = to_json_filter;
    f["trim"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      Value set = a.get(0, "chars", Value::none());
      return strip(v.str(), set.is_string() ? std::optional<std::string_view>(set.as_string()) : std::nullopt, true,
                   true);
    };
    f["length"] = f["count"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return length_of(v); };
    f["join"] = join;
    f["default"] = f["d"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      bool missing = v.is_undefined() || (a.get(1, "boolean", false).truthy() && !v.truthy());
      return missing ? a.get(0, "default_value", "") : v;
    };
    f["first"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      auto items = in.iterate(v);
      return items.empty() ? Value::undefined("the first item of an empty sequence") : items.front();
    };
    f["last"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      auto items = in.iterate(v);
      return items.empty() ? Value::undefined("the last item of an empty sequence") : items.back();
    };
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
    f["string"] = f["safe"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return v.str(); };
    f["int"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return to_int(v, a.get(0, "default", 0)); };
    f["float"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      return to_float(v, a.get(0, "default", 0.0));
    };
    f["lower"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return lower(v.str()); };
    f["upper"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return upper(v.str()); };
    f["title"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return title(v.str(), true); };
    f["capitalize"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return capitalize(v.str()); };
    f["replace"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      Value count = a.get(2, "count", Value::none());
      return replace(in, v.str(), a.get(0, "old").str(), a.get(1, "new").str(), count.is_int() ? count.as_int() : -1);
    };
    f["items"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      if (v.is_undefined()) return Value::list({});
      if (!v.is_dict()) throw TemplateError{"Can only get item pairs from a mapping."};
      Arguments none;
      return in.call(method_of(in, v, "items"), none);
    };
    f["dictsort"] = dict_sort;
    f["sort"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      return Value::list(sorted(in, in.iterate(v), a.get(2, "attribute", Value::none()),
                                a.get(1, "case_sensitive", false).truthy(), a.get(0, "reverse", false).truthy()));
    };
    f["unique"] = unique;
    f["reverse"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      auto items = in.iterate(v);
      std::reverse(items.begin(), items.end());
      if (!v.is_string()) return Value::list(std::move(items));
      std::string out;
      for (const Value& c : items) out += c.as_string();
      return Value(std::move(out));
    };
    f["indent"] = indent;
    f["escape"] = f["e"] =
        f["forceescape"] = [](Interpreter&, const Value& v, Arguments&) -> Value { return escape(v); };
    f["abs"] = [](Interpreter&, const Value& v, Arguments&) -> Value {
      if (!v.is_number()) throw TemplateError{fmt::format("bad operand type for abs(): '{}'", v.type_name())};
      if (v.is_float()) return std::fabs(v.as_number());
      if (v.as_int() == INT64_MIN) throw TemplateError{"the result is too large for 64 bits"};
      return std::abs(v.as_int());
    };
    f["round"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return rounded(v, a); };
    f["sum"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      Value attribute = a.get(0, "attribute", Value::none()), total = a.get(1, "start", 0);
      for (const Value& item : in.iterate(v))
        total = in.binary("+", total, attribute.is_none() ? item : path_of(in, item, attribute));
      return total;
    };
    f["min"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return extreme(in, v, a, false); };
    f["max"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value { return extreme(in, v, a, true); };
    f["batch"] = batch;
    f["groupby"] = group_by;
    f["truncate"] = [](Interpreter&, const Value& v, Arguments& a) -> Value { return truncate(v, a); };
    f["wordcount"] = [](Interpreter& in, const Value& v, Arguments&) -> Value {
      Arguments none;
      return length_of(in.call(method_of(in, Value(v.str()), "split"), none));
    };
    f["format"] = [](Interpreter&, const Value& v, Arguments& a) -> Value {
      return format_percent(v.str(), a.positional);
    };
    f["attr"] = [](Interpreter& in, const Value& v, Arguments& a) -> Value {
      return in.attribute(v, a.get(0, "name").str());
    };
    return f;
  }();
  return all;
}

}  // namespace

Value Interpreter::apply_filter(const std::string& name, const Value& value, Arguments& arguments) {
  spend(1);
  auto found = filters().find(name);
  if (found == filters().end()) throw TemplateError{fmt::format("no filter named '{}'", name)};
  return found->second(*this, value, arguments);
}

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
  if (name == "sequence") return value.is_list() || value.is_string() || value.is_dict() || value.is_undefined();
  if (name == "iterable") return value.is_list() || value.is_string() || value.is_dict() || value.is_undefined();
  if (name == "callable") return value.is_callable();
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
  if (name == "lower")
    return value.is_string() && lower(value.as_string()) == value.as_string() &&
           upper(value.as_string()) != value.as_string();
  if (name == "upper")
    return value.is_string() && upper(value.as_string()) == value.as_string() &&
           lower(value.as_string()) != value.as_string();
  if (name == "filter") return value.is_string() && filters().count(value.as_string()) != 0;
  if (name == "escaped") return false;
  throw TemplateError{fmt::format("no test named '{}'", name)};
}

}  // namespace retort::text::jinja
