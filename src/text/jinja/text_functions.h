// Python's string operations that methods and filters share. White space is ASCII's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/interpreter.h"

namespace retort::text::jinja {

/// Without the given characters (default: white space) at the chosen ends.
std::string strip(std::string_view text, std::optional<std::string_view> characters, bool left, bool right);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title() with any non-letter between words; jinja2's filter cuts words at other places than Python's method.
std::string title(std::string_view text, bool as_filter);
/// The first `count` (negative: all) occurrences of `from` replaced.
std::string replace(Interpreter& interpreter, std::string_view text, std::string_view from, std::string_view to,
                    int64_t count);
/// printf-style formatting with %s, %d, %f, %r, %x and %%.
std::string format_percent(std::string_view text, const std::vector<Value>& values);

}  // namespace retort::text::jinja
