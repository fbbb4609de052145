// Recursive descent over jinja2's grammar: its expressions, with the precedences of jinja2/parser.py.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/token_reader.h"

namespace retort::text::jinja {

/// Each function takes the tokens of what it returns and throws TemplateError where they are something else.
class ExpressionParser : public TokenReader {
 public:
  using TokenReader::TokenReader;

 protected:
  ExpressionPtr expression();
  /// One expression, or several with commas as a tuple. Not `conditional`: an `if` is not part of them.
  ExpressionPtr expression_list(bool conditional = true);
  /// What follows `e`: `| name(...)`, `is name ...` and calls after them. `inline_name`: the first filter has no bar
  /// before it.
  ExpressionPtr filters(ExpressionPtr e, bool inline_name);

  /// Of the names that macros have (varargs, kwargs, caller), those that were read so far.
  std::vector<std::string> special_names_;

 private:
  // Loosest first.
  ExpressionPtr or_expression();
  ExpressionPtr and_expression();
  ExpressionPtr not_expression();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr filtered_unary();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr literal(Value value);

  ExpressionPtr left_associative(std::initializer_list<std::string_view> operators,
                                 ExpressionPtr (ExpressionParser::*next)());
  ExpressionPtr postfix(ExpressionPtr e);
  ExpressionPtr call(ExpressionPtr callee);
  ExpressionPtr subscript(ExpressionPtr object, size_t offset);
  /// After the opening parenthesis.
  CallArguments arguments();
  bool starts_test_argument() const;
};

}  // namespace retort::text::jinja
