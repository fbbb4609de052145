#include "text/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/utf8.h"

namespace retort::text::jinja {

Value Value::undefined(std::string name) {
  Value value;
  value.data_ = Missing{std::make_shared<const std::string>(std::move(name))};
  return value;
}

Value Value::none() {
  Value value;
  value.data_ = None{};
  return value;
}

namespace {

constexpr int kMaxNesting = 200;
constexpr int64_t kMaxNodes = 8'000'000;
constexpr size_t kMaxPrinted = 16 << 20;

/// The extent of what holds `held` beside `all`.
Extent around(Extent all, const Value& held) {
  Extent inner = held.extent();
  all.depth = std::max(all.depth, inner.depth + 1);
  all.nodes += inner.nodes;
  if (all.depth > kMaxNesting) throw TemplateError{fmt::format("values are nested more than {} deep", kMaxNesting)};
  if (all.nodes > kMaxNodes) throw TemplateError{fmt::format("a value reaches more than {} values", kMaxNodes)};
  return all;
}

}  // namespace

Value Value::markup(std::string s) {
  Value value;
  value.data_ = std::make_shared<const Text>(Text{std::move(s), true});
  return value;
}

Value Value::list(std::vector<Value> items, bool tuple) {
  return sequence(std::move(items), tuple ? List::Form::kTuple : List::Form::kList, tuple ? "tuple" : "list");
}

Value Value::sequence(std::vector<Value> items, List::Form form, std::string_view type, std::string shown) {
  Value value;
  value.data_ = std::make_shared<List>(List{std::move(items), form, type, std::move(shown), {}});
  value.measure();
  return value;
}

Value Value::dict(Dict dict) {
  Value value;
  value.data_ = std::make_shared<Dict>(std::move(dict));
  value.measure();
  return value;
}

Value Value::callable(std::string name, std::function<Value(Arguments&)> call, const Value& held) {
  Value value;
  value.data_ = std::make_shared<Callable>(Callable{std::move(name), std::move(call), around({}, held)});
  return value;
}

Extent Value::extent() const {
  if (is_list()) return as_list().extent;
  if (is_dict()) return as_dict().extent;
  if (is_callable()) return as_callable().extent;
  return {};
}

void Value::measure() const {
  Extent all{1, 1};
  if (is_list()) {
    for (const Value& item : as_list().items) all = around(all, item);
    as_list().extent = all;
  } else if (is_dict()) {
    for (const auto& [key, item] : as_dict().items) all = around(around(all, key), item);
    as_dict().extent = all;
  }
}

std::string Value::undefined_message() const {
  const auto& name = std::get<Missing>(data_).name;
  if (name == nullptr) return "the value is undefined";
  return fmt::format("'{}'{}", *name, name->find("' has no ") != std::string::npos ? "" : " is undefined");
}

const void* Value::identity() const {
  if (is_list()) return &as_list();
  if (is_dict()) return &as_dict();
  if (is_callable()) return &as_callable();
  return nullptr;
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return as_bool();
    case Kind::kInt:
      return as_int() != 0;
    case Kind::kFloat:
      return as_number() != 0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kList:
      return as_list().form == List::Form::kIterator || !as_list().items.empty();
    case Kind::kDict:
      return as_dict().name_space || !as_dict().items.empty();
    case Kind::kCallable:
      return true;
  }
  return false;
}

std::string_view Value::type_name() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return is_markup() ? "Markup" : "str";
    case Kind::kList:
      return as_list().type;
    case Kind::kDict:
      return "dict";
    case Kind::kCallable:
      return "function";
  }
  return "";
}

std::string format_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  double magnitude = std::fabs(value);
  bool plain = value == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                           plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer, end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

namespace {

std::string quote(const std::string& text) {
  char mark = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, mark);
  for (char c : text) {
    if (c == mark || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 32 || c == 127) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + mark;
}

void check_printed(const std::string& out) {
  if (out.size() > kMaxPrinted) throw TemplateError{fmt::format("a value prints as more than {} bytes", kMaxPrinted)};
}

std::string repr_of(const Value& value, int depth) {
  if (depth > kMaxNesting) throw TemplateError{"the value is nested too deeply to print"};
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return "Undefined";
    case Value::Kind::kNone:
      return "None";
    case Value::Kind::kBool:
      return value.as_bool() ? "True" : "False";
    case Value::Kind::kInt:
      return std::to_string(value.as_int());
    case Value::Kind::kFloat:
      return format_float(value.as_number());
    case Value::Kind::kString:
      return value.is_markup() ? "Markup(" + quote(value.as_string()) + ")" : quote(value.as_string());
    case Value::Kind::kCallable:
      return fmt::format("<function {}>", value.as_callable().name);
    case Value::Kind::kList: {
      const List& list = value.as_list();
      if (list.form == List::Form::kIterator) return fmt::format("<{} object>", list.type);
      if (list.form == List::Form::kRange) return list.shown;
      bool view = list.form == List::Form::kView, tuple = list.form == List::Form::kTuple;
      std::string out = view ? std::string(list.type) + "([" : tuple ? "(" : "[";
      for (size_t i = 0; i < list.items.size(); ++i) {
        out += (i > 0 ? ", " : "") + repr_of(list.items[i], depth + 1);
        check_printed(out);
      }
      if (tuple && list.items.size() == 1) out += ',';
      return out + (view ? "])" : tuple ? ")" : "]");
    }
    case Value::Kind::kDict: {
      const Dict& dict = value.as_dict();
      std::string out = dict.name_space ? "<Namespace {" : "{";
      bool first = true;
      for (const auto& [key, item] : dict.items) {
        out += (first ? "" : ", ") + repr_of(key, depth + 1) + ": " + repr_of(item, depth + 1);
        check_printed(out);
        first = false;
      }
      return out + (dict.name_space ? "}>" : "}");
    }
  }
  return "";
}

}  // namespace

std::string Value::repr() const {
  return repr_of(*this, 0);
}

std::string Value::str() const {
  if (is_string()) return as_string();
  if (is_undefined()) return "";
  return repr();
}

bool Value::equals(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (!is_float() && !other.is_float()) return as_int() == other.as_int();
    return as_number() == other.as_number();
  }
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return as_string() == other.as_string();
    case Kind::kList: {
      const auto &a = as_list().items, &b = other.as_list().items;
      if (&a == &b) return true;
      List::Form form = as_list().form;
      if (a.size() != b.size() || form != other.as_list().form || form == List::Form::kIterator ||
          as_list().type == "dict_values")
        return false;
      for (size_t i = 0; i < a.size(); ++i)
        if (!a[i].equals(b[i])) return false;
      return true;
    }
    case Kind::kDict: {
      const auto &a = as_dict().items, &b = other.as_dict().items;
      if (as_dict().name_space || other.as_dict().name_space) return &a == &b;
      if (a.size() != b.size()) return false;
      for (const auto& [key, item] : a) {
        const Value* found = other.as_dict().find(key);
        if (found == nullptr || !item.equals(*found)) return false;
      }
      return true;
    }
    default:
      return identity() == other.identity();
  }
}

bool Value::less(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (!is_float() && !other.is_float()) return as_int() < other.as_int();
    return as_number() < other.as_number();
  }
  if (is_string() && other.is_string()) return as_string() < other.as_string();
  if (is_list() && other.is_list() && as_list().form == other.as_list().form && as_list().concatenates()) {
    const auto &a = as_list().items, &b = other.as_list().items;
    for (size_t i = 0; i < a.size() && i < b.size(); ++i)
      if (!a[i].equals(b[i])) return a[i].less(b[i]);
    return a.size() < b.size();
  }
  throw TemplateError{fmt::format("'<' not supported between {} and {}", type_name(), other.type_name())};
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [k, v] : items)
    if (k.equals(key)) return &v;
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  if (const Value* found = find(key))
    *const_cast<Value*>(found) = std::move(value);
  else
    items.emplace_back(key, std::move(value));
}

Value Arguments::get(size_t index, std::string_view name) const {
  return get(index, name, Value());
}

Value Arguments::get(size_t index, std::string_view name, Value fallback) const {
  if (index < positional.size()) return positional[index];
  for (const auto& [key, value] : named)
    if (key == name) return value;
  return fallback;
}

int64_t code_points(std::string_view text) {
  int64_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

size_t code_point_offset(std::string_view text, int64_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
    if (index-- == 0) return at;
  }
  return at;
}

}  // namespace retort::text::jinja
