// Python's two ways to put values into a text: the % operator and str.format().
#pragma once

#include <string>

#include "text/jinja/interpreter.h"

namespace retort::text::jinja {

/// `text % values` with %s, %r, %d, %i, %x, %f, %g, %e, %% and %(name)s; into markup, values are escaped.
Value format_percent(const Value& text, const Arguments& values);

/// text.format(...) with fields like {}, {0}, {name}, {:>8}, {:.2f} and {!r}; no attributes or items of values.
std::string format_braces(Interpreter& interpreter, const std::string& text, const Arguments& values);

}  // namespace retort::text::jinja
