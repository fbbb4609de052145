// The syntax tree of a template. Nodes are plain data; interpreter.cc gives them meaning.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace retort::text::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread, spread_named;  // *list, **dict
};

struct Expression {
  enum class Kind {
    kLiteral,      // value
    kName,         // text
    kList,         // items
    kTuple,        // items
    kDict,         // items: key, value, key, value ...
    kUnary,        // text ("-", "+", "not"), items[0]
    kBinary,       // text, items[0], items[1]
    kCompare,      // items[0] operators[0] items[1] operators[1] items[2] ...
    kConditional,  // items: value, condition, otherwise (or none)
    kAttribute,    // items[0] . text
    kItem,         // items[0] [ items[1] ]
    kSlice,        // items: object, start, stop, step, each but the first may be null
    kCall,         // items[0] ( arguments )
    kFilter,       // items[0] (null in a filter block) | text ( arguments )
    kTest,         // items[0] is text ( arguments )
  };
  Kind kind = Kind::kLiteral;
  size_t offset = 0;  // in the source, for messages
  std::string text;
  Value value;
  std::vector<ExpressionPtr> items;
  std::vector<std::string> operators;
  CallArguments arguments;
};

/// What an assignment or a loop binds: a name, object.attribute, or several of them.
struct Target {
  std::string name, attribute;
  std::vector<Target> several;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // null: none
};

struct Statement {
  enum class Kind {
    kText,      // text
    kOutput,    // expression
    kIf,        // branches
    kFor,       // target in expression if condition; recursive; body; otherwise
    kSet,       // target = expression
    kSetBlock,  // target = body, through filter when there is one
    kMacro,     // text (parameters) body
    kCall,      // expression (a call) with a caller of (parameters) body
    kFilter,    // body through expression
    kBody,      // body, as it is (generation blocks)
    kWith,      // body in a scope of its own, parameters set
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  size_t offset = 0;
  std::string text;
  ExpressionPtr expression, condition;
  Target target;
  std::vector<Parameter> parameters;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // a macro's body does
  std::vector<std::pair<ExpressionPtr, Body>> branches;                 // condition (null: else), body
  Body body, otherwise;
  bool recursive = false;
};

/// Parses a whole template. Throws TemplateError.
Body parse(std::string_view source);

}  // namespace retort::text::jinja
