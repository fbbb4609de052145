#include "text/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace retort::text::jinja {

namespace {

using Kind = Expression::Kind;

ExpressionPtr make(Kind kind, size_t offset) {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->offset = offset;
  return e;
}

ExpressionPtr binary(std::string op, size_t offset, ExpressionPtr left, ExpressionPtr right) {
  ExpressionPtr e = make(Kind::kBinary, offset);
  e->text = std::move(op);
  e->items.push_back(std::move(left));
  e->items.push_back(std::move(right));
  return e;
}

}  // namespace

ExpressionPtr ExpressionParser::expression_list(bool conditional) {
  size_t offset = current().offset;
  ExpressionPtr first = conditional ? expression() : or_expression();
  if (!is_operator(",")) return first;
  ExpressionPtr tuple = make(Kind::kTuple, offset);
  tuple->items.push_back(std::move(first));
  while (accept(",")) {
    if (current().kind == Token::Kind::kBlockEnd || current().kind == Token::Kind::kOutputEnd || is_operator(")"))
      break;
    tuple->items.push_back(conditional ? expression() : or_expression());
  }
  return tuple;
}

ExpressionPtr ExpressionParser::expression() {
  Depth depth(*this);
  size_t offset = current().offset;
  ExpressionPtr value = or_expression();
  while (accept_name("if")) {
    ExpressionPtr e = make(Kind::kConditional, offset);
    e->items.push_back(std::move(value));
    e->items.push_back(or_expression());
    e->items.push_back(accept_name("else") ? expression() : nullptr);
    value = std::move(e);
  }
  return value;
}

ExpressionPtr ExpressionParser::or_expression() {
  ExpressionPtr left = and_expression();
  while (is_name("or")) {
    size_t offset = take().offset;
    left = binary("or", offset, std::move(left), and_expression());
  }
  return left;
}

ExpressionPtr ExpressionParser::and_expression() {
  ExpressionPtr left = not_expression();
  while (is_name("and")) {
    size_t offset = take().offset;
    left = binary("and", offset, std::move(left), not_expression());
  }
  return left;
}

ExpressionPtr ExpressionParser::not_expression() {
  if (!is_name("not")) return comparison();
  Depth depth(*this);
  ExpressionPtr e = make(Kind::kUnary, take().offset);
  e->text = "not";
  e->items.push_back(not_expression());
  return e;
}

ExpressionPtr ExpressionParser::comparison() {
  size_t offset = current().offset;
  ExpressionPtr first = sum();
  ExpressionPtr e;
  while (true) {
    std::string op;
    if (current().kind == Token::Kind::kOperator &&
        (current().text == "==" || current().text == "!=" || current().text == "<" || current().text == "<=" ||
         current().text == ">" || current().text == ">=")) {
      op = take().text;
    } else if (is_name("in")) {
      take();
      op = "in";
    } else if (is_name("not") && peek().kind == Token::Kind::kName && peek().text == "in") {
      take();
      take();
      op = "not in";
    } else {
      return e != nullptr ? std::move(e) : std::move(first);
    }
    if (e == nullptr) {
      e = make(Kind::kCompare, offset);
      e->items.push_back(std::move(first));
    }
    e->operators.push_back(op);
    e->items.push_back(sum());
  }
}

ExpressionPtr ExpressionParser::left_associative(std::initializer_list<std::string_view> operators,
                                                 ExpressionPtr (ExpressionParser::*next)()) {
  ExpressionPtr left = (this->*next)();
  while (current().kind == Token::Kind::kOperator &&
         std::find(operators.begin(), operators.end(), current().text) != operators.end()) {
    Token op = take();
    left = binary(op.text, op.offset, std::move(left), (this->*next)());
  }
  return left;
}

ExpressionPtr ExpressionParser::sum() {
  return left_associative({"+", "-"}, &ExpressionParser::concatenation);
}

ExpressionPtr ExpressionParser::concatenation() {
  return left_associative({"~"}, &ExpressionParser::product);
}

ExpressionPtr ExpressionParser::product() {
  return left_associative({"*", "/", "//", "%"}, &ExpressionParser::power);
}

ExpressionPtr ExpressionParser::power() {
  return left_associative({"**"}, &ExpressionParser::filtered_unary);
}

ExpressionPtr ExpressionParser::filtered_unary() {
  return unary(true);
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  Depth depth(*this);
  ExpressionPtr e;
  if (is_operator("-") || is_operator("+")) {
    Token op = take();
    e = make(Kind::kUnary, op.offset);
    e->text = op.text;
    e->items.push_back(unary(false));
    e = postfix(std::move(e));
  } else {
    e = postfix(primary());
  }
  return with_filters ? filters(std::move(e), false) : std::move(e);
}

ExpressionPtr ExpressionParser::literal(Value value) {
  ExpressionPtr e = make(Kind::kLiteral, take().offset);
  e->value = std::move(value);
  return e;
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = current();
  switch (token.kind) {
    case Token::Kind::kInt:
      return literal(token.integer);
    case Token::Kind::kFloat:
      return literal(token.real);
    case Token::Kind::kString: {
      std::string text = token.text;
      ExpressionPtr e = literal(Value());
      while (current().kind == Token::Kind::kString) text += take().text;  // neighbours join
      e->value = Value(std::move(text));
      return e;
    }
    case Token::Kind::kName: {
      if (token.text == "true" || token.text == "True") return literal(true);
      if (token.text == "false" || token.text == "False") return literal(false);
      if (token.text == "none" || token.text == "None") return literal(Value::none());
      ExpressionPtr e = make(Kind::kName, token.offset);
      e->text = take().text;
      if (e->text == "varargs" || e->text == "kwargs" || e->text == "caller") special_names_.push_back(e->text);
      return e;
    }
    default:
      break;
  }
  if (accept("(")) {
    if (is_operator(")")) {
      ExpressionPtr e = make(Kind::kTuple, take().offset);
      return e;
    }
    ExpressionPtr e = expression_list();
    expect(")");
    return e;
  }
  if (is_operator("[")) {
    ExpressionPtr e = make(Kind::kList, take().offset);
    while (!accept("]")) {
      if (!e->items.empty()) expect(",");
      if (accept("]")) break;
      e->items.push_back(expression());
    }
    return e;
  }
  if (is_operator("{")) {
    ExpressionPtr e = make(Kind::kDict, take().offset);
    while (!accept("}")) {
      if (!e->items.empty()) expect(",");
      if (accept("}")) break;
      e->items.push_back(expression());
      expect(":");
      e->items.push_back(expression());
    }
    return e;
  }
  fail(fmt::format("expected an expression, got {}", shown()));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr e) {
  while (true) {
    size_t offset = current().offset;
    if (accept(".")) {
      ExpressionPtr next = make(Kind::kAttribute, offset);
      if (current().kind == Token::Kind::kInt) {  // a.0 is a[0]
        next->kind = Kind::kItem;
        next->items.push_back(std::move(e));
        next->items.push_back(literal(current().integer));
      } else {
        next->text = expect_name();
        next->items.push_back(std::move(e));
      }
      e = std::move(next);
    } else if (accept("[")) {
      e = subscript(std::move(e), offset);
    } else if (is_operator("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

ExpressionPtr ExpressionParser::call(ExpressionPtr callee) {
  ExpressionPtr next = make(Kind::kCall, take().offset);
  next->items.push_back(std::move(callee));
  next->arguments = arguments();
  return next;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object, size_t offset) {
  ExpressionPtr parts[3];
  int colons = 0;
  while (!is_operator("]")) {
    if (accept(":")) {
      if (++colons > 2) fail("expected ']', got ':'");
    } else if (parts[colons] == nullptr) {
      parts[colons] = expression_list();
    } else {
      fail(fmt::format("expected ']', got {}", shown()));
    }
  }
  take();
  ExpressionPtr e = make(colons > 0 ? Kind::kSlice : Kind::kItem, offset);
  if (colons == 0 && parts[0] == nullptr) throw TemplateError{"expected an index", offset};
  e->items.push_back(std::move(object));
  for (int i = 0; i < (colons > 0 ? 3 : 1); ++i) e->items.push_back(std::move(parts[i]));
  return e;
}

CallArguments ExpressionParser::arguments() {
  CallArguments a;
  bool first = true;
  while (!accept(")")) {
    if (!first) expect(",");
    first = false;
    if (accept(")")) break;
    if (accept("**")) {
      a.spread_named = expression();
    } else if (accept("*")) {
      a.spread = expression();
    } else if (current().kind == Token::Kind::kName && peek().kind == Token::Kind::kOperator && peek().text == "=") {
      std::string name = take().text;
      take();
      a.named.emplace_back(std::move(name), expression());
    } else {
      if (!a.named.empty()) fail("a positional argument follows a named one");
      a.positional.push_back(expression());
    }
  }
  return a;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr e, bool inline_name) {
  while (true) {
    size_t offset = current().offset;
    if (inline_name || accept("|")) {
      inline_name = false;
      ExpressionPtr next = make(Kind::kFilter, offset);
      next->text = expect_name();
      while (accept(".")) next->text += "." + expect_name();
      next->items.push_back(std::move(e));
      if (accept("(")) next->arguments = arguments();
      e = std::move(next);
    } else if (e != nullptr && is_name("is")) {
      take();
      bool negated = accept_name("not");
      ExpressionPtr test = make(Kind::kTest, offset);
      test->text = expect_name();
      test->items.push_back(std::move(e));
      if (accept("("))
        test->arguments = arguments();
      else if (starts_test_argument())
        test->arguments.positional.push_back(postfix(primary()));
      e = std::move(test);
      if (negated) {
        ExpressionPtr no = make(Kind::kUnary, offset);
        no->text = "not";
        no->items.push_back(std::move(e));
        e = std::move(no);
      }
    } else if (e != nullptr && is_operator("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

bool ExpressionParser::starts_test_argument() const {
  switch (current().kind) {
    case Token::Kind::kInt:
    case Token::Kind::kFloat:
    case Token::Kind::kString:
      return true;
    case Token::Kind::kName: {
      for (std::string_view word : {"else", "or", "and", "is", "if", "in", "not", "recursive"})
        if (current().text == word) return false;
      return true;
    }
    case Token::Kind::kOperator:
      return current().text == "[" || current().text == "{";
    default:
      return false;
  }
}

}  // namespace retort::text::jinja
