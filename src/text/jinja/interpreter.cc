#include "text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "text/jinja/format.h"
#include "text/jinja/text_functions.h"

namespace retort::text::jinja {

namespace {
constexpr const char* kCallName = "__call__";  // what calling an object like `loop` calls
}

struct Interpreter::Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> names;

  Value* find(const std::string& name) {
    for (auto& [key, value] : names)
      if (key == name) return &value;
    return nullptr;
  }
  void set(const std::string& name, Value value) {
    if (Value* found = find(name))
      *found = std::move(value);
    else
      names.emplace_back(name, std::move(value));
  }
};

Interpreter::Interpreter(Dict globals, const Limits& limits) : limits_(limits), scope_(std::make_shared<Scope>()) {
  for (auto& entry : globals.items) scope_->set(entry.first.as_string(), std::move(entry.second));
  scope_->set("namespace", Value::callable("namespace", [](Arguments& a) {
                Dict d;
                for (const Value& v : a.positional)
                  if (v.is_dict()) d.items = v.as_dict().items;
                for (auto& [key, value] : a.named) d.set(key, value);
                d.name_space = true;
                return Value::dict(std::move(d));
              }));
  scope_->set("dict", Value::callable("dict", [this](Arguments& a) {
                Dict d;
                if (!a.positional.empty() && a.positional[0].is_dict()) {
                  d.items = a.positional[0].as_dict().items;
                } else if (!a.positional.empty()) {
                  for (const Value& pair : iterate(a.positional[0])) {
                    std::vector<Value> both = iterate(pair);
                    if (both.size() != 2) throw TemplateError{"dict() takes pairs"};
                    d.set(both[0], both[1]);
                  }
                }
                for (auto& [key, value] : a.named) d.set(key, value);
                return Value::dict(std::move(d));
              }));
  scope_->set("joiner", Value::callable("joiner", [](Arguments& a) {
                auto used = std::make_shared<bool>(false);
                return Value::callable("joiner", [used, separator = a.get(0, "sep", ", ")](Arguments&) -> Value {
                  return std::exchange(*used, true) ? separator : Value("");
                });
              }));
  scope_->set("range", Value::callable("range", [this](Arguments& a) {
                for (const Value& v : a.positional)
                  if (!v.is_int() && !v.is_bool())
                    throw TemplateError{fmt::format("range() takes integers, got {}", v.type_name())};
                if (a.positional.empty() || a.positional.size() > 3)
                  throw TemplateError{"range() takes 1 to 3 integers"};
                int64_t start = a.positional.size() > 1 ? a.positional[0].as_int() : 0;
                int64_t stop = a.positional[a.positional.size() > 1 ? 1 : 0].as_int();
                int64_t step = a.positional.size() > 2 ? a.positional[2].as_int() : 1;
                if (step == 0) throw TemplateError{"range() step must not be zero"};
                std::vector<Value> items;
                for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
                  spend(1);
                  if (items.size() >= 100000)
                    throw TemplateError{"range() is longer than 100000"};  // as jinja2's sandbox
                  items.emplace_back(i);
                  if (__builtin_add_overflow(i, step, &i)) break;
                }
                std::string shown = fmt::format("range({}, {}", start, stop);
                return Value::sequence(std::move(items), List::Form::kRange, "range",
                                       shown + (step != 1 ? fmt::format(", {})", step) : ")"));
              }));
}

// Macros hold their scope and their scope holds them: clearing the names breaks the cycle.
Interpreter::~Interpreter() {
  for (std::shared_ptr<Scope> s = scope_; s != nullptr; s = s->parent) s->names.clear();
}

void Interpreter::spend(int64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps) throw TemplateError{fmt::format("the template takes more than {} steps", limits_.steps)};
}

void Interpreter::check_size(int64_t bytes) const {
  if (bytes > limits_.value_bytes)
    throw TemplateError{fmt::format("a value grows beyond {} MiB", limits_.value_bytes >> 20)};
}

void Interpreter::append(std::string& out, std::string_view text) {
  if (static_cast<int64_t>(out.size() + text.size()) > limits_.output_bytes)
    throw TemplateError{fmt::format("the output grows beyond {} MiB", limits_.output_bytes >> 20)};
  out += text;
}

std::string Interpreter::render(const Body& body) {
  std::string out;
  try {
    execute(body, out);
  } catch (TemplateError& error) {
    if (error.offset == SIZE_MAX) error.offset = offset_;
    throw;
  }
  return out;
}

Value Interpreter::lookup(const std::string& name) {
  for (Scope* s = scope_.get(); s != nullptr; s = s->parent.get())
    if (Value* found = s->find(name)) return *found;
  return Value::undefined(name);
}

Interpreter::Flow Interpreter::execute(const Body& body, std::string& out) {
  for (const auto& statement : body)
    if (Flow flow = execute(*statement, out); flow != Flow::kNormal) return flow;
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Statement& s, std::string& out) {
  spend(1);
  offset_ = s.offset;
  switch (s.kind) {
    case Statement::Kind::kText:
      append(out, s.text);
      break;
    case Statement::Kind::kOutput:
      append(out, evaluate(*s.expression).str());
      break;
    case Statement::Kind::kIf:
      for (const auto& [condition, body] : s.branches)
        if (condition == nullptr || evaluate(*condition).truthy()) return execute(body, out);
      break;
    case Statement::Kind::kFor:
      return loop(s, evaluate(*s.expression), 0, out);
    case Statement::Kind::kSet:
      assign(s.target, evaluate(*s.expression));
      break;
    case Statement::Kind::kSetBlock:
    case Statement::Kind::kFilter: {
      auto saved = scope_;
      scope_ = std::make_shared<Scope>(Scope{saved, {}});
      std::string text;
      Flow flow = execute(s.body, text);
      Value value(std::move(text));
      if (s.expression != nullptr) {
        // The innermost filter has no operand of its own: it gets the body.
        std::vector<const Expression*> chain;
        for (const Expression* e = s.expression.get(); e != nullptr; e = e->items[0].get()) chain.push_back(e);
        for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
          Arguments arguments = evaluate_arguments((*it)->arguments);
          value = apply_filter((*it)->text, value, arguments);
        }
      }
      scope_ = saved;
      if (s.kind == Statement::Kind::kFilter)
        append(out, value.str());
      else
        assign(s.target, value);
      return flow;
    }
    case Statement::Kind::kMacro:
      scope_->set(s.text, make_macro(s, s.text));
      break;
    case Statement::Kind::kCall: {
      Value callee = evaluate(*s.expression->items[0]);
      Arguments arguments = evaluate_arguments(s.expression->arguments);
      arguments.named.emplace_back("caller", make_macro(s, "caller"));
      append(out, call(callee, arguments).str());
      break;
    }
    case Statement::Kind::kWith: {
      auto saved = scope_;
      auto inner = std::make_shared<Scope>(Scope{saved, {}});
      for (const Parameter& p : s.parameters) inner->set(p.name, evaluate(*p.fallback));
      scope_ = inner;
      Flow flow = execute(s.body, out);
      scope_ = saved;
      return flow;
    }
    case Statement::Kind::kBody:
      return execute(s.body, out);
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::loop(const Statement& s, const Value& iterable, int depth, std::string& out) {
  if (depth > limits_.depth) throw TemplateError{"a recursive loop is nested too deeply"};
  std::vector<Value> items = iterate(iterable);
  auto saved = scope_;
  if (s.condition != nullptr) {
    std::vector<Value> kept;
    for (const Value& item : items) {
      scope_ = std::make_shared<Scope>(Scope{saved, {}});
      assign(s.target, item);
      if (evaluate(*s.condition).truthy()) kept.push_back(item);
    }
    scope_ = saved;
    items = std::move(kept);
  }
  if (items.empty()) {
    Flow flow = execute(s.otherwise, out);
    return flow;
  }
  auto changed_before = std::make_shared<Value>();
  auto count = static_cast<int64_t>(items.size());
  for (int64_t i = 0; i < count; ++i) {
    spend(16);  // the loop object's cost
    scope_ = std::make_shared<Scope>(Scope{saved, {}});
    Dict info;
    info.name_space = true;
    info.items = {{"index0", i},     {"index", i + 1},         {"revindex", count - i}, {"revindex0", count - i - 1},
                  {"first", i == 0}, {"last", i == count - 1}, {"length", count},       {"depth", depth + 1},
                  {"depth0", depth}};
    info.items.emplace_back("previtem", i > 0 ? items[static_cast<size_t>(i - 1)] : Value::undefined("previtem"));
    info.items.emplace_back("nextitem",
                            i + 1 < count ? items[static_cast<size_t>(i + 1)] : Value::undefined("nextitem"));
    info.items.emplace_back("cycle", Value::callable("cycle", [i](Arguments& a) {
                              if (a.positional.empty()) throw TemplateError{"no items for cycling given"};
                              return a.positional[static_cast<size_t>(i) % a.positional.size()];
                            }));
    info.items.emplace_back("changed", Value::callable("changed", [changed_before](Arguments& a) {
                              Value now = Value::list(a.positional, true);
                              bool changed = !now.equals(*changed_before);
                              *changed_before = now;
                              return Value(changed);
                            }));
    if (s.recursive)
      info.items.emplace_back(kCallName, Value::callable("loop", [this, &s, depth](Arguments& a) {
                                std::string text;
                                loop(s, a.get(0, "iterable"), depth + 1, text);
                                return Value(std::move(text));
                              }));
    scope_->set("loop", Value::dict(std::move(info)));
    assign(s.target, items[static_cast<size_t>(i)]);
    Flow flow = execute(s.body, out);
    scope_ = saved;
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.several.empty()) {
    std::vector<Value> items = iterate(value);
    if (items.size() != target.several.size())
      throw TemplateError{fmt::format("cannot unpack {} values into {} names", items.size(), target.several.size())};
    for (size_t i = 0; i < items.size(); ++i) assign(target.several[i], items[i]);
  } else if (!target.attribute.empty()) {
    Value object = lookup(target.name);
    if (!object.is_dict() || !object.as_dict().name_space)
      throw TemplateError{fmt::format("cannot assign attribute {} of {}: only namespace() objects take assignments",
                                      target.attribute, target.name)};
    object.as_dict().set(target.attribute, value);
  } else {
    scope_->set(target.name, value);
  }
}

Value Interpreter::make_macro(const Statement& s, const std::string& name) {
  std::weak_ptr<Scope> defined_in = scope_;
  return Value::callable(name, [this, &s, name, defined_in](Arguments& a) {
    if (++depth_ > limits_.depth) throw TemplateError{fmt::format("macro {} calls itself too deeply", name)};
    auto saved = scope_;
    auto parent = defined_in.lock();
    scope_ = std::make_shared<Scope>(Scope{parent != nullptr ? parent : saved, {}});
    std::vector<Value> extra;
    Dict extra_named;
    for (size_t i = s.parameters.size(); i < a.positional.size(); ++i) extra.push_back(a.positional[i]);
    if (!extra.empty() && !s.uses_varargs)
      throw TemplateError{fmt::format("macro '{}' takes not more than {} argument(s)", name, s.parameters.size())};
    for (auto& [key, value] : a.named) {
      auto parameter = std::find_if(s.parameters.begin(), s.parameters.end(),
                                    [&k = key](const Parameter& p) { return p.name == k; });
      bool known = parameter - s.parameters.begin() >= static_cast<std::ptrdiff_t>(a.positional.size()) &&
                   parameter != s.parameters.end();
      if (known || (key == "caller" && s.uses_caller)) continue;
      if (!s.uses_kwargs) throw TemplateError{fmt::format("macro '{}' takes no keyword argument '{}'", name, key)};
      extra_named.set(key, value);
    }
    scope_->set("varargs", Value::list(std::move(extra), true));
    scope_->set("kwargs", Value::dict(std::move(extra_named)));
    scope_->set("caller", a.get(SIZE_MAX, "caller", Value::undefined("caller")));
    for (size_t i = 0; i < s.parameters.size(); ++i) {
      const Parameter& p = s.parameters[i];
      bool given = i < a.positional.size() ||
                   std::any_of(a.named.begin(), a.named.end(), [&p](const auto& n) { return n.first == p.name; });
      if (given)
        scope_->set(p.name, a.get(i, p.name));
      else
        scope_->set(p.name, p.fallback != nullptr ? evaluate(*p.fallback) : Value::undefined(p.name));
    }
    std::string text;
    execute(s.body, text);
    scope_ = saved;
    --depth_;
    return Value(std::move(text));
  });
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments) {
  Arguments a;
  for (const ExpressionPtr& e : arguments.positional) a.positional.push_back(evaluate(*e));
  if (arguments.spread != nullptr)
    for (Value& v : iterate(evaluate(*arguments.spread))) a.positional.push_back(std::move(v));
  for (const auto& [name, e] : arguments.named) a.named.emplace_back(name, evaluate(*e));
  if (arguments.spread_named != nullptr) {
    Value named = evaluate(*arguments.spread_named);
    if (!named.is_dict()) throw TemplateError{"argument after ** must be a mapping"};
    for (const auto& [key, value] : named.as_dict().items) a.named.emplace_back(key.str(), value);
  }
  return a;
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) throw TemplateError{callee.undefined_message()};
  if (callee.is_dict() && callee.as_dict().name_space)
    if (const Value* found = callee.as_dict().find(kCallName)) return call(*found, arguments);
  if (!callee.is_callable()) throw TemplateError{fmt::format("'{}' object is not callable", callee.type_name())};
  return callee.as_callable().call(arguments);
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) throw TemplateError{object.undefined_message()};
  if (object.is_dict() && object.as_dict().name_space) {
    const Value* found = object.as_dict().find(name);
    return found != nullptr ? *found : Value::undefined(name);
  }
  if (Value method = method_of(*this, object, name); !method.is_undefined()) return method;
  if (object.is_dict())
    if (const Value* found = object.as_dict().find(name)) return *found;
  return Value::undefined(fmt::format("{} object' has no attribute '{}", object.type_name(), name));
}

namespace {

/// Python's index: negative counts from the end; -1 when out of range.
int64_t wrapped(int64_t index, int64_t size) {
  if (index < 0) index += size;
  return index >= 0 && index < size ? index : -1;
}

Value character(const Value& value, int64_t index) {
  const std::string& text = value.as_string();
  size_t begin = code_point_offset(text, index);
  std::string one = text.substr(begin, code_point_offset(std::string_view(text).substr(begin), 1));
  return value.is_markup() ? Value::markup(std::move(one)) : Value(std::move(one));
}

/// left + right of strings: when one is markup, the other is escaped.
Value joined(const Value& left, const Value& right) {
  if (!left.is_markup() && !right.is_markup()) return Value(left.as_string() + right.as_string());
  return Value::markup(escape(left).as_string() + escape(right).as_string());
}

}  // namespace

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is_undefined()) throw TemplateError{object.undefined_message()};
  if (object.is_dict()) {
    if (const Value* found = object.as_dict().find(key)) return *found;
  } else if (object.is_list() && object.as_list().can_be_indexed() && (key.is_int() || key.is_bool())) {
    const auto& items = object.as_list().items;
    int64_t index = wrapped(key.as_int(), static_cast<int64_t>(items.size()));
    if (index >= 0) return items[static_cast<size_t>(index)];
  } else if (object.is_string() && (key.is_int() || key.is_bool())) {
    int64_t size = code_points(object.as_string());
    spend(size / 64 + 1);
    int64_t index = wrapped(key.as_int(), size);
    if (index >= 0) return character(object, index);
  }
  if (key.is_string()) {
    if (Value method = method_of(*this, object, key.as_string()); !method.is_undefined()) return method;
  }
  return Value::undefined(fmt::format("{} object' has no element '{}", object.type_name(), key.str()));
}

std::vector<Value> Interpreter::iterate(const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      break;
    case Value::Kind::kList:
      if (value.as_list().form == List::Form::kIterator)
        items.swap(value.as_list().items);
      else
        items = value.as_list().items;
      break;
    case Value::Kind::kDict:
      for (const auto& entry : value.as_dict().items) items.push_back(entry.first);
      break;
    case Value::Kind::kString: {
      std::string_view text = value.as_string();
      check_size(static_cast<int64_t>(text.size()) * 32);
      while (!text.empty()) {
        size_t length = code_point_offset(text, 1);
        items.emplace_back(text.substr(0, length));
        text.remove_prefix(length);
      }
      break;
    }
    default:
      throw TemplateError{fmt::format("'{}' object is not iterable", value.type_name())};
  }
  spend(static_cast<int64_t>(items.size()));
  return items;
}

bool Interpreter::contains(const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string())
      throw TemplateError{fmt::format("'in <string>' requires string as left operand, not {}", item.type_name())};
    spend(static_cast<int64_t>(container.as_string().size()) / 64);
    return container.as_string().find(item.as_string()) != std::string::npos;
  }
  if (container.is_dict()) return container.as_dict().find(item) != nullptr;
  for (const Value& v : iterate(container))
    if (v.equals(item)) return true;
  return false;
}

Value Interpreter::slice(const Expression& e) {
  Value object = evaluate(*e.items[0]);
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (e.items[i + 1] == nullptr) continue;
    Value bound = evaluate(*e.items[i + 1]);
    if (bound.is_none()) continue;
    if (!bound.is_int() && !bound.is_bool()) throw TemplateError{"slice indices must be integers or None"};
    bounds[i] = bound.as_int();
  }
  if (object.is_undefined()) throw TemplateError{object.undefined_message()};
  if (!(object.is_list() && object.as_list().can_be_indexed()) && !object.is_string())
    throw TemplateError{fmt::format("'{}' object cannot be sliced", object.type_name())};
  std::vector<Value> items = iterate(object);
  auto size = static_cast<int64_t>(items.size());
  int64_t step = bounds[2].value_or(1);
  if (step == 0) throw TemplateError{"slice step cannot be zero"};
  auto clamp = [&](std::optional<int64_t> bound, int64_t fallback) {
    if (!bound) return fallback;
    int64_t b = *bound < 0 ? *bound + size : *bound;
    return step > 0 ? std::clamp<int64_t>(b, 0, size) : std::clamp<int64_t>(b, -1, size - 1);
  };
  int64_t start = clamp(bounds[0], step > 0 ? 0 : size - 1), stop = clamp(bounds[1], step > 0 ? size : -1);
  std::vector<Value> taken;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    taken.push_back(items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (object.is_list())
    return Value::sequence(std::move(taken), object.as_list().form, object.as_list().type, "range(...)");
  std::string text;
  for (const Value& v : taken) text += v.as_string();
  return object.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

Value Interpreter::compare(const Expression& e) {
  Value left = evaluate(*e.items[0]);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.items[i + 1]);
    const std::string& op = e.operators[i];
    bool holds = op == "=="   ? left.equals(right)
                 : op == "!=" ? !left.equals(right)
                 : op == "<"  ? left.less(right)
                 : op == ">"  ? right.less(left)
                 : op == "<=" ? left.equals(right) || left.less(right)
                 : op == ">=" ? left.equals(right) || right.less(left)
                 : op == "in" ? contains(right, left)
                              : !contains(right, left);
    if (!holds) return false;
    left = right;
  }
  return true;
}

Value Interpreter::binary(const std::string& op, const Value& left, const Value& right) {
  for (const Value* v : {&left, &right})
    if (v->is_undefined() && op != "~") throw TemplateError{v->undefined_message()};
  auto unsupported = [&]() {
    return TemplateError{
        fmt::format("unsupported operand types for {}: '{}' and '{}'", op, left.type_name(), right.type_name())};
  };
  if (op == "~") {
    std::string a = left.str(), b = right.str();
    check_size(static_cast<int64_t>(a.size() + b.size()));
    spend(static_cast<int64_t>(a.size() + b.size()) / 64);
    return Value(a + b);
  }
  if (op == "+" && left.is_string() && right.is_string()) {
    check_size(static_cast<int64_t>(left.as_string().size() + right.as_string().size()));
    spend(static_cast<int64_t>(left.as_string().size() + right.as_string().size()) / 64);
    return joined(left, right);
  }
  if (op == "+" && left.is_list() && right.is_list() && left.as_list().concatenates() &&
      left.as_list().form == right.as_list().form) {
    std::vector<Value> items = left.as_list().items;
    items.insert(items.end(), right.as_list().items.begin(), right.as_list().items.end());
    check_size(static_cast<int64_t>(items.size()) * 32);
    spend(static_cast<int64_t>(items.size()));
    return Value::list(std::move(items), left.as_list().form == List::Form::kTuple);
  }
  auto repeats = [](const Value& v) { return v.is_string() || (v.is_list() && v.as_list().concatenates()); };
  if (op == "*" && repeats(left) && (right.is_int() || right.is_bool())) {
    int64_t times = std::max<int64_t>(right.as_int(), 0);
    int64_t unit = left.is_string() ? static_cast<int64_t>(left.as_string().size())
                                    : static_cast<int64_t>(left.as_list().items.size()) * 32;
    int64_t total = 0;
    if (__builtin_mul_overflow(unit, times, &total)) total = INT64_MAX;
    check_size(total);
    spend(total / 32 + 1);
    if (unit == 0) return left;
    if (left.is_string()) {
      std::string text;
      for (int64_t i = 0; i < times; ++i) text += left.as_string();
      return left.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
    }
    std::vector<Value> items;
    for (int64_t i = 0; i < times; ++i)
      items.insert(items.end(), left.as_list().items.begin(), left.as_list().items.end());
    return Value::list(std::move(items), left.as_list().form == List::Form::kTuple);
  }
  if (op == "*" && repeats(right) && (left.is_int() || left.is_bool())) return binary(op, right, left);
  if (op == "%" && left.is_string()) {
    Arguments a;
    if (right.is_list() && right.as_list().form == List::Form::kTuple)
      a.positional = right.as_list().items;
    else if (right.is_dict())
      for (const auto& [key, value] : right.as_dict().items) a.named.emplace_back(key.str(), value);
    else
      a.positional = {right};
    return format_percent(left, a);
  }
  if (!left.is_number() || !right.is_number()) throw unsupported();
  bool real = left.is_float() || right.is_float();
  double x = left.as_number(), y = right.as_number();
  if ((op == "/" || op == "//" || op == "%") && y == 0) throw TemplateError{"division by zero"};
  if (op == "/") return x / y;
  if (op == "**") {
    double power = std::pow(x, y);
    if (real || right.as_int() < 0) return power;
    if (std::fabs(power) >= 9.2e18) throw TemplateError{"the result is too large for 64 bits"};
    int64_t result = 1;
    for (int64_t i = 0, base = left.as_int(); i < right.as_int() && i < 64 && base != 1 && base != 0; ++i)
      result *= base;
    if (left.as_int() == 0) result = right.as_int() == 0 ? 1 : 0;
    return result;
  }
  if (real) {
    if (op == "+") return x + y;
    if (op == "-") return x - y;
    if (op == "*") return x * y;
    if (op == "//") return std::floor(x / y);
    double rest = std::fmod(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
  int64_t a = left.as_int(), b = right.as_int(), result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (b == -1) {  // the one quotient that overflows
    overflow = op == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
  } else {
    int64_t quotient = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) {
      --quotient;
      rest += b;
    }
    result = op == "//" ? quotient : rest;
  }
  if (overflow) throw TemplateError{"the result is too large for 64 bits"};
  return result;
}

Value Interpreter::evaluate(const Expression& e) {
  spend(1);
  offset_ = e.offset;
  using Kind = Expression::Kind;
  switch (e.kind) {
    case Kind::kLiteral:
      return e.value;
    case Kind::kName:
      return lookup(e.text);
    case Kind::kList:
    case Kind::kTuple: {
      std::vector<Value> items;
      for (const ExpressionPtr& item : e.items) items.push_back(evaluate(*item));
      return Value::list(std::move(items), e.kind == Kind::kTuple);
    }
    case Kind::kDict: {
      Dict dict;
      for (size_t i = 0; i < e.items.size(); i += 2) {
        Value key = evaluate(*e.items[i]);
        dict.set(key, evaluate(*e.items[i + 1]));
      }
      return Value::dict(std::move(dict));
    }
    case Kind::kUnary: {
      Value value = evaluate(*e.items[0]);
      if (e.text == "not") return !value.truthy();
      if (value.is_undefined()) throw TemplateError{value.undefined_message(), e.offset};
      if (!value.is_number())
        throw TemplateError{fmt::format("bad operand type for unary {}: '{}'", e.text, value.type_name()), e.offset};
      if (e.text == "+") return value.is_float() ? value : Value(value.as_int());
      if (value.is_float()) return -value.as_number();
      return binary("-", Value(0), value);
    }
    case Kind::kBinary: {
      Value left = evaluate(*e.items[0]);
      if (e.text == "and") return left.truthy() ? evaluate(*e.items[1]) : left;
      if (e.text == "or") return left.truthy() ? left : evaluate(*e.items[1]);
      Value right = evaluate(*e.items[1]);
      offset_ = e.offset;
      return binary(e.text, left, right);
    }
    case Kind::kCompare:
      return compare(e);
    case Kind::kConditional:
      if (evaluate(*e.items[1]).truthy()) return evaluate(*e.items[0]);
      return e.items[2] != nullptr ? evaluate(*e.items[2]) : Value::undefined("the value of an inline if without else");
    case Kind::kAttribute: {
      Value object = evaluate(*e.items[0]);
      offset_ = e.offset;
      return attribute(object, e.text);
    }
    case Kind::kItem: {
      Value object = evaluate(*e.items[0]);
      Value key = evaluate(*e.items[1]);
      offset_ = e.offset;
      return item(object, key);
    }
    case Kind::kSlice:
      return slice(e);
    case Kind::kCall: {
      Value callee = evaluate(*e.items[0]);
      Arguments arguments = evaluate_arguments(e.arguments);
      offset_ = e.offset;
      return call(callee, arguments);
    }
    case Kind::kFilter: {
      Value value = evaluate(*e.items[0]);
      Arguments arguments = evaluate_arguments(e.arguments);
      offset_ = e.offset;
      return apply_filter(e.text, value, arguments);
    }
    case Kind::kTest: {
      Value value = evaluate(*e.items[0]);
      Arguments arguments = evaluate_arguments(e.arguments);
      offset_ = e.offset;
      return apply_test(e.text, value, arguments);
    }
  }
  return Value();
}

}  // namespace retort::text::jinja
