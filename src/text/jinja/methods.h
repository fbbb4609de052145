// Methods of Python's str, by name; methods.cc has those of list and dict, and binds them to objects.
#pragma once

#include <map>
#include <string>

#include "text/jinja/interpreter.h"

namespace retort::text::jinja {

using Method = Value (*)(Interpreter&, const Value& self, Arguments&);

const std::map<std::string, Method>& string_methods();

}  // namespace retort::text::jinja
