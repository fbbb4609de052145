// Methods of Python's list and dict, as far as the immutable sandbox allows them, and methods bound to objects.
#include "text/jinja/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "text/jinja/text_functions.h"

namespace retort::text::jinja {
namespace {

const std::map<std::string, Method>& dict_methods() {
  static const std::map<std::string, Method> methods = {
      {"items",
       [](Interpreter& in, const Value& self, Arguments&) -> Value {
         std::vector<Value> items;
         for (const auto& [key, value] : self.as_dict().items) items.push_back(Value::list({key, value}, true));
         in.spend(static_cast<int64_t>(items.size()));
         return Value::sequence(std::move(items), List::Form::kView, "dict_items");
       }},
      {"keys",
       [](Interpreter& in, const Value& self, Arguments&) -> Value {
         return Value::sequence(in.iterate(self), List::Form::kView, "dict_keys");
       }},
      {"values",
       [](Interpreter& in, const Value& self, Arguments&) -> Value {
         std::vector<Value> items;
         for (const auto& entry : self.as_dict().items) items.push_back(entry.second);
         in.spend(static_cast<int64_t>(items.size()));
         return Value::sequence(std::move(items), List::Form::kView, "dict_values");
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

/// The arguments of a method of markup that come into its result.
void escape_arguments(Interpreter& interpreter, const std::string& method, Arguments& a) {
  if (method == "replace" || method == "ljust" || method == "rjust" || method == "center") {
    if (a.positional.size() > 1) a.positional[1] = escape(a.positional[1]);
  } else if (method == "join" && !a.positional.empty()) {
    std::vector<Value> items = interpreter.iterate(a.positional[0]);
    for (Value& item : items) item = escape(item);
    a.positional[0] = Value::list(std::move(items));
  } else if (method == "format") {
    for (Value& value : a.positional) value = escape(value);
    for (auto& [name, value] : a.named) value = escape(value);
  }
}

/// Strings of a markup's method's result are markup.
Value as_markup(Value value) {
  if (value.is_string()) return Value::markup(value.as_string());
  if (value.is_list())
    for (Value& item : value.as_list().items) item = as_markup(item);
  return value;
}

/// What the sandbox forbids, because it would change a value that others share.
bool changes_object(const Value& object, const std::string& name) {
  static constexpr std::string_view kList[] = {"append", "reverse", "insert", "sort",
                                               "extend", "remove",  "clear",  "pop"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is_list())
    return object.as_list().form == List::Form::kList &&
           std::find(std::begin(kList), std::end(kList), name) != std::end(kList);
  return object.is_dict() && std::find(std::begin(kDict), std::end(kDict), name) != std::end(kDict);
}

}  // namespace

Value method_of(Interpreter& interpreter, const Value& object, const std::string& name) {
  const std::map<std::string, Method>* methods = object.is_string() ? &string_methods()
                                                 : object.is_dict() ? &dict_methods()
                                                 : object.is_list() && object.as_list().can_be_indexed()
                                                     ? &list_methods()
                                                     : nullptr;
  if (methods == nullptr) return Value();
  if (changes_object(object, name))
    return Value::callable(name, [name](Arguments&) -> Value {
      throw TemplateError{fmt::format("{}() would change a value: templates cannot", name)};
    });
  auto found = methods->find(name);
  if (found == methods->end()) return Value();
  if (name == "copy" && object.is_list() && object.as_list().form != List::Form::kList) return Value();
  if (object.is_markup())
    return Value::callable(name, [&interpreter, name, object, method = found->second](Arguments& a) {
      escape_arguments(interpreter, name, a);
      return as_markup(method(interpreter, object, a));
    });
  return Value::callable(
      name, [&interpreter, object, method = found->second](Arguments& a) { return method(interpreter, object, a); },
      object);
}

}  // namespace retort::text::jinja
