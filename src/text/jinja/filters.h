// Filters that several files share: those of sequences, and what they need.
#pragma once

#include <string_view>
#include <vector>

#include "text/jinja/interpreter.h"

namespace retort::text::jinja {

bool is_filter(const std::string& name);

/// Values that are used up by the first loop over them, as Python's generators are.
Value generator(std::vector<Value> items);
/// An integer argument of `filter`.
int64_t integer_of(const Value& value, const char* filter);

// sequence_filters.cc
Value join(Interpreter& in, const Value& value, Arguments& a);
Value map(Interpreter& in, const Value& value, Arguments& a);
/// select, reject, selectattr and rejectattr.
Value choose(Interpreter& in, const Value& value, Arguments& a, bool by_attribute, bool keep);
Value sort(Interpreter& in, const Value& value, Arguments& a);
Value unique(Interpreter& in, const Value& value, Arguments& a);
/// min and max.
Value extreme(Interpreter& in, const Value& value, Arguments& a, bool largest);
Value sum(Interpreter& in, const Value& value, Arguments& a);
Value batch(Interpreter& in, const Value& value, Arguments& a);
Value slice(Interpreter& in, const Value& value, Arguments& a);
Value group_by(Interpreter& in, const Value& value, Arguments& a);
Value dict_sort(Interpreter& in, const Value& value, Arguments& a);
Value first(Interpreter& in, const Value& value, Arguments& a);
Value last(Interpreter& in, const Value& value, Arguments& a);
Value reverse(Interpreter& in, const Value& value, Arguments& a);

}  // namespace retort::text::jinja
