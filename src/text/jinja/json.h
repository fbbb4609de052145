// JSON to and from template values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/value.h"

namespace retort::text::jinja {

/// Parses one JSON document; objects keep their order. Fails with the byte and the rule; nesting beyond 200 is refused.
base::Result<Value> parse_json(std::string_view text);

/// As Python's json.dumps(value, ensure_ascii=False, ...) writes it.
struct JsonStyle {
  std::optional<std::string> indent;  // of one level
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false, ascii = false;
};
std::string to_json(const Value& value, const JsonStyle& style = {});

}  // namespace retort::text::jinja
