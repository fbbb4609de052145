#include "text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace retort::text::jinja {
namespace {

constexpr int64_t kTrackingSteps = 64;  // what is kept until the end costs memory

}  // namespace

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
  scope_->set(
      "joiner", Value::callable("joiner", [](Arguments& a) {
        auto used = std::make_shared<bool>(false);
        Value separator = a.get(0, "sep", ", ");
        return Value::callable(
            "joiner",
            [used, separator](Arguments&) -> Value { return std::exchange(*used, true) ? separator : Value(""); },
            separator);
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

// Macros hold their scope and their scope holds them: clearing the names breaks the cycle. Namespaces and
// what loop.changed() remembers, the only values that change, may hold themselves.
Interpreter::~Interpreter() {
  for (const std::shared_ptr<Dict>& attributes : namespaces_) attributes->items.clear();
  for (const std::shared_ptr<Value>& value : remembered_) *value = Value();
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
    info.items.emplace_back("changed", Value::callable("changed", [this, changed_before](Arguments& a) {
                              Value now = Value::list(a.positional, true);
                              if (changed_before->is_undefined()) {
                                spend(kTrackingSteps);
                                remembered_.push_back(changed_before);
                              }
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
    Dict& attributes = object.as_dict();
    if (value.identity() != nullptr && !std::exchange(attributes.may_be_in_itself, true)) {
      spend(kTrackingSteps);
      namespaces_.push_back(object.shared_dict());
    }
    attributes.set(target.attribute, value);
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

}  // namespace retort::text::jinja
