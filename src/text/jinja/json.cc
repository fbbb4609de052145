#include "text/jinja/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

constexpr int kMaxNesting = 200;
constexpr size_t kMaxBytes = 16 << 20;

/// Builds a Value from the parser's events, so that depth is checked while parsing.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::string error;
  Value result;

  bool null() override { return put(Value::none()); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(int64_t value) override { return put(value); }
  bool number_unsigned(uint64_t value) override {
    return value <= INT64_MAX ? put(static_cast<int64_t>(value)) : put(static_cast<double>(value));
  }
  bool number_float(double value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(Value(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Value::dict()); }
  bool start_array(size_t) override { return open(Value::list({})); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    std::string_view what = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    size_t detail = what.find("] ");
    error = fmt::format("byte {}: {}", position, detail == std::string_view::npos ? what : what.substr(detail + 2));
    return false;
  }

 private:
  bool put(Value value) {
    if (open_.empty())
      result = std::move(value);
    else if (open_.back().is_list())
      open_.back().as_list().items.push_back(std::move(value));
    else
      open_.back().as_dict().set(Value(keys_.back()), std::move(value));
    return true;
  }
  bool open(Value container) {
    if (open_.size() >= kMaxNesting) {
      error = fmt::format("nested more than {} deep", kMaxNesting);
      return false;
    }
    put(container);
    open_.push_back(std::move(container));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    try {
      open_.back().measure();
    } catch (const TemplateError& e) {
      error = e.message;
      return false;
    }
    open_.pop_back();
    keys_.pop_back();
    return true;
  }
  std::vector<Value> open_;
  std::vector<std::string> keys_;
};

void write_string(const std::string& text, bool ascii, std::string& out) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    auto length = static_cast<size_t>(c.length > 0 ? c.length : 1);
    uint32_t code = c.length > 0 ? c.code : 0xfffd;
    switch (code) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (code < 32 || (ascii && code >= 127 && code < 0x10000))
          out += fmt::format("\\u{:04x}", code);
        else if (ascii && code >= 0x10000)
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
        else
          append_utf8(out, code);
    }
    at += length;
  }
  out += '"';
}

void write(const Value& value, const JsonStyle& style, int depth, std::string& out) {
  if (depth > kMaxNesting) throw TemplateError{"the value is nested too deeply for JSON"};
  if (out.size() > kMaxBytes) throw TemplateError{fmt::format("a value gives more than {} bytes of JSON", kMaxBytes)};
  auto line = [&](int level) {
    if (!style.indent) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += *style.indent;
  };
  // Python drops the space after a comma that ends a line.
  std::string_view separator = style.item_separator;
  if (style.indent && separator == ", ") separator = ",";
  switch (value.kind()) {
    case Value::Kind::kNone:
      out += "null";
      break;
    case Value::Kind::kBool:
      out += value.as_bool() ? "true" : "false";
      break;
    case Value::Kind::kInt:
      out += std::to_string(value.as_int());
      break;
    case Value::Kind::kFloat: {
      std::string text = format_float(value.as_number());
      out += text == "nan" ? "NaN" : text == "inf" ? "Infinity" : text == "-inf" ? "-Infinity" : text;
      break;
    }
    case Value::Kind::kString:
      write_string(value.as_string(), style.ascii, out);
      break;
    case Value::Kind::kList: {
      if (!value.as_list().concatenates())
        throw TemplateError{fmt::format("Object of type {} is not JSON serializable", value.type_name())};
      const auto& items = value.as_list().items;
      out += '[';
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += separator;
        line(depth + 1);
        write(items[i], style, depth + 1, out);
      }
      if (!items.empty()) line(depth);
      out += ']';
      break;
    }
    case Value::Kind::kDict: {
      if (value.as_dict().name_space) throw TemplateError{"Object of type Namespace is not JSON serializable"};
      std::vector<const std::pair<Value, Value>*> items;
      for (const auto& item : value.as_dict().items) items.push_back(&item);
      if (style.sort_keys)
        std::stable_sort(items.begin(), items.end(),
                         [](const auto* a, const auto* b) { return a->first.less(b->first); });
      out += '{';
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += separator;
        line(depth + 1);
        const Value& key = items[i]->first;
        write_string(key.is_bool()   ? (key.as_bool() ? "true" : "false")
                     : key.is_none() ? "null"
                                     : key.str(),
                     style.ascii, out);
        out += style.key_separator;
        write(items[i]->second, style, depth + 1, out);
      }
      if (!items.empty()) line(depth);
      out += '}';
      break;
    }
    case Value::Kind::kUndefined:
      throw TemplateError{"Object of type Undefined is not JSON serializable"};
    case Value::Kind::kCallable:
      throw TemplateError{"Object of type function is not JSON serializable"};
  }
}

}  // namespace

base::Result<Value> parse_json(std::string_view text) {
  Builder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    return base::fail(fmt::format("JSON: {}", builder.error.empty() ? "not valid" : builder.error));
  return builder.result;
}

std::string to_json(const Value& value, const JsonStyle& style) {
  std::string out;
  write(value, style, 0, out);
  return out;
}

}  // namespace retort::text::jinja
