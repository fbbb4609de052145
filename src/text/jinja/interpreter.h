// Interpreter: renders a parsed template, within limits that no real chat template comes near.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"

namespace retort::text::jinja {

/// What a rendering may use up; more is an error.
struct Limits {
  int64_t steps = 10'000'000;  // nodes evaluated and items produced
  int64_t output_bytes = 64 << 20;
  int64_t value_bytes = 16 << 20;  // of one string, or items of one list times 32
  int depth = 100;                 // macro calls within macro calls
};

/// The item of a dict that calling it calls: `loop` has one.
constexpr const char* kCallName = "__call__";

/// One rendering. Throws TemplateError. Statements are in interpreter.cc, expressions in expressions.cc.
class Interpreter {
 public:
  /// `globals` are the template's variables and functions.
  Interpreter(Dict globals, const Limits& limits);
  ~Interpreter();

  std::string render(const Body& body);

  /// Counts work done; every loop over template data calls it.
  void spend(int64_t steps);
  /// Refuses values that grow without bound.
  void check_size(int64_t bytes) const;
  /// The source position that an error without one refers to.
  size_t current_offset() const { return offset_; }

  Value call(const Value& callee, Arguments& arguments);
  Value apply_filter(const std::string& name, const Value& value, Arguments& arguments);
  bool apply_test(const std::string& name, const Value& value, Arguments& arguments);
  /// object.name as templates mean it (methods first), and object[key] (items first).
  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& key);
  /// The items that a loop over the value sees.
  std::vector<Value> iterate(const Value& value);
  Value binary(const std::string& op, const Value& left, const Value& right);
  bool contains(const Value& container, const Value& item);

 private:
  struct Scope;
  enum class Flow { kNormal, kBreak, kContinue };

  Value evaluate(const Expression& e);
  Value compare(const Expression& e);
  Value slice(const Expression& e);
  Arguments evaluate_arguments(const CallArguments& arguments);
  Flow execute(const Body& body, std::string& out);
  Flow execute(const Statement& s, std::string& out);
  Flow loop(const Statement& s, const Value& iterable, int depth, std::string& out);
  Value make_macro(const Statement& s, const std::string& name);
  void assign(const Target& target, const Value& value);
  Value lookup(const std::string& name);
  void append(std::string& out, std::string_view text);

  Limits limits_;
  int64_t steps_ = 0;
  int depth_ = 0;
  size_t offset_ = 0;
  std::shared_ptr<Scope> scope_;
  // What changes, and so may come to hold itself: emptied at the end.
  // Kept until then, lest a long chain of them end all at once, each within the one before.
  std::vector<std::shared_ptr<Dict>> namespaces_;
  std::vector<std::shared_ptr<Value>> remembered_;  // by loop.changed()
};

/// A method of a string, list or dict bound to it, or undefined when it has none of this name (methods.cc).
Value method_of(Interpreter& interpreter, const Value& object, const std::string& name);

}  // namespace retort::text::jinja
