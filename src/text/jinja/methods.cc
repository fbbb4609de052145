// Methods of Python's str, list and dict, as far as the immutable sandbox allows them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "text/jinja/interpreter.h"
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
    constexpr std::string_view kSpaces = " \t\n\r\f\v";
    std::string_view rest = text;
    if (from_right) {
      for (size_t end; (end = rest.find_last_not_of(kSpaces)) != std::string_view::npos;) {
        rest = rest.substr(0, end + 1);
        if (static_cast<int64_t>(parts.size()) >= most) {
          parts.emplace_back(rest.substr(rest.find_first_not_of(kSpaces)));
          break;
        }
        size_t begin = rest.find_last_of(kSpaces);
        begin = begin == std::string_view::npos ? 0 : begin + 1;
        parts.emplace_back(rest.substr(begin));
        rest = rest.substr(0, begin);
      }
      std::reverse(parts.begin(), parts.end());
    } else {
      for (size_t begin; (begin = rest.find_first_not_of(kSpaces)) != std::string_view::npos;) {
        rest.remove_prefix(begin);
        if (static_cast<int64_t>(parts.size()) >= most) {
          parts.emplace_back(rest.substr(0, rest.find_last_not_of(kSpaces) + 1));
          break;
        }
        size_t end = std::min(rest.find_first_of(kSpaces), rest.size());
        parts.emplace_back(rest.substr(0, end));
        rest.remove_prefix(end);
      }
    }
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

Value split_lines(const std::string& text, bool keep_ends) {
  std::vector<Value> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of("\n\r", at), text.size());
    size_t next = end;
    if (next < text.size()) next += text.compare(next, 2, "\r\n") == 0 ? 2 : 1;
    lines.emplace_back(text.substr(at, (keep_ends ? next : end) - at));
    at = next;
  }
  return Value::list(std::move(lines));
}

template <class Test>
bool all_characters(const std::string& text, Test test) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [&](char c) { return test(static_cast<unsigned char>(c)); });
}

Value find(const std::string& text, const Arguments& a, const char* method, bool from_right) {
  const std::string& part = text_argument(a.get(0, "sub"), method);
  size_t found = from_right ? text.rfind(part) : text.find(part);
  return found == std::string::npos ? Value(-1) : Value(code_points(std::string_view(text).substr(0, found)));
}

/// "{} {0} {name}" with values.
std::string format_braces(Interpreter& interpreter, const std::string& text, const Arguments& a) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if ((text[at] == '{' || text[at] == '}') && at + 1 < text.size() && text[at + 1] == text[at]) {
      out += text[at++];
    } else if (text[at] == '{') {
      size_t end = text.find('}', at);
      if (end == std::string::npos) throw TemplateError{"expected '}' before end of string"};
      std::string field = text.substr(at + 1, end - at - 1);
      if (field.find_first_of(":!.[") != std::string::npos)
        throw TemplateError{"format() takes plain fields like {} and {name}"};
      bool number = !field.empty() && field.find_first_not_of("0123456789") == std::string::npos && field.size() < 6;
      Value value = field.empty() ? a.get(next++, "") : number ? a.get(std::stoul(field), "") : a.get(SIZE_MAX, field);
      if (value.is_undefined()) throw TemplateError{fmt::format("format() has no value for field '{}'", field)};
      out += value.str();
      interpreter.check_size(static_cast<int64_t>(out.size()));
      at = end;
    } else {
      out += text[at];
    }
  }
  return out;
}

using Method = Value (*)(Interpreter&, const Value&, Arguments&);

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
      {"title", RETORT_STRING({ return title(s, false); })},
      {"capitalize", RETORT_STRING({ return capitalize(s); })},
      {"split", RETORT_STRING({ return split(in, s, a, false); })},
      {"rsplit", RETORT_STRING({ return split(in, s, a, true); })},
      {"splitlines", RETORT_STRING({ return split_lines(s, a.get(0, "keepends", false).truthy()); })},
      {"startswith", RETORT_STRING({
         return any_of_strings(a.get(0, "prefix"), "startswith",
                               [&](const std::string& p) { return s.starts_with(p); });
       })},
      {"endswith", RETORT_STRING({
         return any_of_strings(a.get(0, "suffix"), "endswith", [&](const std::string& p) { return s.ends_with(p); });
       })},
      {"replace", RETORT_STRING({
         Value count = a.get(2, "count", -1);
         if (!count.is_int()) throw TemplateError{"replace() takes an integer as count"};
         return replace(in, s, text_argument(a.get(0, "old"), "replace"), text_argument(a.get(1, "new"), "replace"),
                        count.as_int());
       })},
      {"find", RETORT_STRING({ return find(s, a, "find", false); })},
      {"rfind", RETORT_STRING({ return find(s, a, "rfind", true); })},
      {"index", RETORT_STRING({
         Value at = find(s, a, "index", false);
         if (at.as_int() < 0) throw TemplateError{"substring not found"};
         return at;
       })},
      {"count", RETORT_STRING({
         const std::string& part = text_argument(a.get(0, "sub"), "count");
         if (part.empty()) return code_points(s) + 1;
         int64_t count = 0;
         for (size_t at = s.find(part); at != std::string::npos; at = s.find(part, at + part.size())) ++count;
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
      {"isdigit", RETORT_STRING({ return all_characters(s, [](unsigned char c) { return c >= '0' && c <= '9'; }); })},
      {"isnumeric", RETORT_STRING({ return all_characters(s, [](unsigned char c) { return c >= '0' && c <= '9'; }); })},
      {"isdecimal", RETORT_STRING({ return all_characters(s, [](unsigned char c) { return c >= '0' && c <= '9'; }); })},
      {"isalpha",
       RETORT_STRING({ return all_characters(s, [](unsigned char c) { return std::isalpha(c) != 0 || c >= 128; }); })},
      {"isalnum",
       RETORT_STRING({ return all_characters(s, [](unsigned char c) { return std::isalnum(c) != 0 || c >= 128; }); })},
      {"isspace", RETORT_STRING({ return all_characters(s, [](unsigned char c) { return std::isspace(c) != 0; }); })},
      {"isupper", RETORT_STRING({ return upper(s) == s && lower(s) != s; })},
      {"islower", RETORT_STRING({ return lower(s) == s && upper(s) != s; })},
  };
  return methods;
}

#undef RETORT_STRING

const std::map<std::string, Method>& dict_methods() {
  static const std::map<std::string, Method> methods = {
      {"items",
       [](Interpreter& in, const Value& self, Arguments&) -> Value {
         std::vector<Value> items;
         for (const auto& [key, value] : self.as_dict().items) items.push_back(Value::list({key, value}, true));
         in.spend(static_cast<int64_t>(items.size()));
         return Value::list(std::move(items));
       }},
      {"keys", [](Interpreter& in, const Value& self, Arguments&) -> Value { return Value::list(in.iterate(self)); }},
      {"values",
       [](Interpreter& in, const Value& self, Arguments&) -> Value {
         std::vector<Value> items;
         for (const auto& entry : self.as_dict().items) items.push_back(entry.second);
         in.spend(static_cast<int64_t>(items.size()));
         return Value::list(std::move(items));
       }},
      {"get",
       [](Interpreter&, const Value& self, Arguments& a) -> Value {
         const Value* found = self.as_dict().find(a.get(0, "key"));
         return found != nullptr ? *found : a.get(1, "default", Value::none());
       }},
      {"copy", [](Interpreter&, const Value& self, Arguments&) -> Value { return Value::dict(self.as_dict()); }},
  };
  return methods;
}

const std::map<std::string, Method>& list_methods() {
  static const std::map<std::string, Method> methods = {
      {"index",
       [](Interpreter&, const Value& self, Arguments& a) -> Value {
         const auto& items = self.as_list().items;
         for (size_t i = 0; i < items.size(); ++i)
           if (items[i].equals(a.get(0, "value"))) return static_cast<int64_t>(i);
         throw TemplateError{a.get(0, "value").repr() + " is not in list"};
       }},
      {"count",
       [](Interpreter&, const Value& self, Arguments& a) -> Value {
         const auto& items = self.as_list().items;
         return static_cast<int64_t>(
             std::count_if(items.begin(), items.end(), [&](const Value& v) { return v.equals(a.get(0, "value")); }));
       }},
      {"copy", [](Interpreter&, const Value& self, Arguments&) -> Value { return Value::list(self.as_list().items); }},
  };
  return methods;
}

/// What the sandbox forbids, because it would change a value that others share.
bool changes_object(const Value& object, const std::string& name) {
  static constexpr std::string_view kList[] = {"append", "reverse", "insert", "sort",
                                               "extend", "remove",  "clear",  "pop"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is_list())
    return !object.as_list().tuple && std::find(std::begin(kList), std::end(kList), name) != std::end(kList);
  return object.is_dict() && std::find(std::begin(kDict), std::end(kDict), name) != std::end(kDict);
}

}  // namespace

Value method_of(Interpreter& interpreter, const Value& object, const std::string& name) {
  const std::map<std::string, Method>* methods = object.is_string() ? &string_methods()
                                                 : object.is_dict() ? &dict_methods()
                                                 : object.is_list() ? &list_methods()
                                                                    : nullptr;
  if (methods == nullptr) return Value();
  if (changes_object(object, name))
    return Value::callable(name, [name](Arguments&) -> Value {
      throw TemplateError{fmt::format("{}() would change a value: templates cannot", name)};
    });
  auto found = methods->find(name);
  if (found == methods->end()) return Value();
  return Value::callable(
      name, [&interpreter, object, method = found->second](Arguments& a) { return method(interpreter, object, a); });
}

}  // namespace retort::text::jinja
