// The interpreter's expressions: calls, items, operators.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "text/jinja/format.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/text_functions.h"

namespace retort::text::jinja {

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
  spend(std::min(container.extent().nodes, item.extent().nodes) / 16);
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
    spend(std::min(left.extent().nodes, right.extent().nodes) / 16);
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
