// Python's string operations that methods and filters share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/interpreter.h"

namespace retort::text::jinja {

/// Without the given characters (default: white space) at the chosen ends.
std::string strip(std::string_view text, std::optional<std::string_view> characters, bool left, bool right);
/// The first `count` (negative: all) occurrences of `from` replaced.
std::string replace(Interpreter& interpreter, std::string_view text, std::string_view from, std::string_view to,
                    int64_t count);
/// The lines of the text; ends are all that Python takes for one.
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);
/// HTML-escaped as markup; markup as it is.
Value escape(const Value& value);

}  // namespace retort::text::jinja
