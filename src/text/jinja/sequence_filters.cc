// Filters of lists and other sequences.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"

namespace retort::text::jinja {
namespace {

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

/// A copy for comparisons that ignore case.
Value folded(const Value& value, bool case_sensitive) {
  return value.is_string() && !case_sensitive ? Value(lower(value.as_string())) : value;
}

/// The item, or its attribute; of several ("a,b.c") a list.
Value sort_key(Interpreter& in, const Value& item, const Value& attribute, bool case_sensitive) {
  if (attribute.is_none() || attribute.is_undefined()) return folded(item, case_sensitive);
  if (!attribute.is_string() || attribute.as_string().find(',') == std::string::npos)
    return folded(path_of(in, item, attribute), case_sensitive);
  std::vector<Value> keys;
  std::string_view rest = attribute.as_string();
  while (true) {
    size_t comma = std::min(rest.find(','), rest.size());
    keys.push_back(folded(path_of(in, item, Value(rest.substr(0, comma))), case_sensitive));
    if (comma == rest.size()) return Value::list(std::move(keys));
    rest.remove_prefix(comma + 1);
  }
}

std::vector<Value> sorted(Interpreter& in, const std::vector<Value>& items, const Value& attribute, bool case_sensitive,
                          bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  keyed.reserve(items.size());
  for (const Value& item : items) {
    keyed.emplace_back(sort_key(in, item, attribute, case_sensitive), item);
  }
  in.spend(static_cast<int64_t>(items.size()) * 16);
  // Python's reverse keeps equal items in their order.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? b.first.less(a.first) : a.first.less(b.first);
  });
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& entry : keyed) out.push_back(std::move(entry.second));
  return out;
}

}  // namespace

/// Values that are used up by the first loop over them, as Python's generators are.
Value generator(std::vector<Value> items) {
  return Value::sequence(std::move(items), List::Form::kIterator, "generator");
}

int64_t integer_of(const Value& value, const char* filter) {
  if (!value.is_int() && !value.is_bool())
    throw TemplateError{fmt::format("{} takes an integer, got {}", filter, value.type_name())};
  return value.as_int();
}

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
  if (!value.truthy()) return generator({});  // none and the like have no items here, as jinja2 has it
  for (const Value& item : in.iterate(value)) {
    Value tested = by_attribute ? path_of(in, item, attribute) : item;
    bool holds = test.empty() ? tested.truthy() : in.apply_test(test, tested, rest);
    if (holds == keep) items.push_back(item);
  }
  return generator(std::move(items));
}

Value map(Interpreter& in, const Value& value, Arguments& a) {
  std::vector<Value> items;
  if (!value.truthy()) return generator({});
  Value attribute = a.get(SIZE_MAX, "attribute");
  if (!attribute.is_undefined()) {
    Value fallback = a.get(SIZE_MAX, "default");
    for (const Value& item : in.iterate(value)) {
      Value found = path_of(in, item, attribute);
      items.push_back(found.is_undefined() && !fallback.is_undefined() ? fallback : found);
    }
    return generator(std::move(items));
  }
  if (a.positional.empty()) throw TemplateError{"map requires a filter argument"};
  Arguments rest;
  rest.positional.assign(a.positional.begin() + 1, a.positional.end());
  rest.named = a.named;
  for (const Value& item : in.iterate(value)) items.push_back(in.apply_filter(a.positional[0].str(), item, rest));
  return generator(std::move(items));
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

Value sort(Interpreter& in, const Value& value, Arguments& a) {
  return Value::list(sorted(in, in.iterate(value), a.get(2, "attribute", Value::none()),
                            a.get(1, "case_sensitive", false).truthy(), a.get(0, "reverse", false).truthy()));
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
  return generator(std::move(items));
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

Value sum(Interpreter& in, const Value& value, Arguments& a) {
  Value attribute = a.get(0, "attribute", Value::none()), total = a.get(1, "start", 0);
  for (const Value& item : in.iterate(value))
    total = in.binary("+", total, attribute.is_none() ? item : path_of(in, item, attribute));
  return total;
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
  return generator(std::move(rows));
}

Value slice(Interpreter& in, const Value& value, Arguments& a) {
  int64_t count = integer_of(a.get(0, "slices"), "slice");
  if (count < 1) throw TemplateError{"slice() takes a positive number"};
  in.check_size(count * 32);
  in.spend(count);
  Value fill = a.get(1, "fill_with", Value::none());
  std::vector<Value> items = in.iterate(value), parts;
  auto size = static_cast<int64_t>(items.size());
  for (int64_t i = 0, at = 0; i < count; ++i) {
    int64_t length = size / count + (i < size % count ? 1 : 0);
    std::vector<Value> part(items.begin() + at, items.begin() + at + length);
    if (!fill.is_none() && i >= size % count && size % count > 0) part.push_back(fill);
    parts.push_back(Value::list(std::move(part)));
    at += length;
  }
  return generator(std::move(parts));
}

Value group_by(Interpreter& in, const Value& value, Arguments& a) {
  Value attribute = a.get(0, "attribute");
  std::vector<std::pair<Value, std::vector<Value>>> groups;
  Value last;
  for (const Value& item :
       sorted(in, in.iterate(value), attribute, a.get(2, "case_sensitive", false).truthy(), false)) {
    Value key = path_of(in, item, attribute);
    if (groups.empty() || !folded(key, false).equals(folded(last, false))) {
      groups.push_back({key, {}});
      last = key;
    }
    groups.back().second.push_back(item);
  }
  std::vector<Value> pairs;
  pairs.reserve(groups.size());
  for (auto& [key, members] : groups) pairs.push_back(Value::list({key, Value::list(std::move(members))}, true));
  return Value::list(std::move(pairs));
}

Value dict_sort(Interpreter& in, const Value& value, Arguments& a) {
  if (!value.is_dict()) throw TemplateError{"dictsort takes a mapping"};
  std::vector<Value> items;
  for (const auto& [key, item] : value.as_dict().items) items.push_back(Value::list({key, item}, true));
  std::string by = a.get(1, "by", "key").str();
  if (by != "key" && by != "value") throw TemplateError{"dictsort goes by \"key\" or \"value\""};
  return Value::list(sorted(in, items, by == "value" ? 1 : 0, a.get(0, "case_sensitive", false).truthy(),
                            a.get(2, "reverse", false).truthy()));
}

Value first(Interpreter& in, const Value& v, Arguments&) {
  if (v.is_list() && v.as_list().form == List::Form::kIterator && !v.as_list().items.empty()) {
    auto& items = v.as_list().items;
    Value first = items.front();
    in.spend(static_cast<int64_t>(items.size()) / 16);
    items.erase(items.begin());
    return first;
  }
  auto items = in.iterate(v);
  return items.empty() ? Value::undefined("the first item of an empty sequence") : items.front();
}

Value last(Interpreter& in, const Value& v, Arguments&) {
  if (v.is_list() && v.as_list().form == List::Form::kIterator)
    throw TemplateError{fmt::format("'{}' object is not reversible", v.type_name())};
  auto items = in.iterate(v);
  return items.empty() ? Value::undefined("the last item of an empty sequence") : items.back();
}

Value reverse(Interpreter& in, const Value& v, Arguments&) {
  auto items = in.iterate(v);
  std::reverse(items.begin(), items.end());
  if (!v.is_string()) {
    bool iterator = v.is_list() && v.as_list().form == List::Form::kIterator;  // has no other way than a list
    return iterator ? Value::list(std::move(items))
                    : Value::sequence(std::move(items), List::Form::kIterator, "list_reverseiterator");
  }
  std::string out;
  for (const Value& c : items) out += c.as_string();
  return v.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
}

}  // namespace retort::text::jinja
