// Recursive descent over jinja2's grammar; its precedences are those of jinja2/parser.py.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace retort::text::jinja {
namespace {

constexpr int kMaxDepth = 150;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Body run() {
    Body body = statements({});
    return body;
  }

 private:
  using Kind = Expression::Kind;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& peek() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_operator(std::string_view text) const {
    return current().kind == Token::Kind::kOperator && current().text == text;
  }
  bool is_name(std::string_view text) const { return current().kind == Token::Kind::kName && current().text == text; }
  bool accept(std::string_view op) {
    if (!is_operator(op)) return false;
    take();
    return true;
  }
  bool accept_name(std::string_view name) {
    if (!is_name(name)) return false;
    take();
    return true;
  }
  [[noreturn]] void fail(const std::string& message) const { throw TemplateError{message, current().offset}; }
  std::string shown() const {
    switch (current().kind) {
      case Token::Kind::kEnd:
        return "the end of the template";
      case Token::Kind::kBlockEnd:
        return "the end of the tag";
      case Token::Kind::kOutputEnd:
        return "'}}'";
      case Token::Kind::kInt:
      case Token::Kind::kFloat:
        return "a number";
      case Token::Kind::kString:
        return "a string";
      default:
        return "'" + current().text + "'";
    }
  }
  void expect(std::string_view op) {
    if (!accept(op)) fail(fmt::format("expected '{}', got {}", op, shown()));
  }
  std::string expect_name() {
    if (current().kind != Token::Kind::kName) fail(fmt::format("expected a name, got {}", shown()));
    return take().text;
  }
  void block_end() {
    if (current().kind != Token::Kind::kBlockEnd) fail(fmt::format("expected the end of the tag, got {}", shown()));
    take();
  }

  /// Counts nesting, so that hostile templates cannot exhaust the stack.
  struct Depth {
    explicit Depth(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxDepth) parser.fail(fmt::format("nested more than {} deep", kMaxDepth));
    }
    ~Depth() { --parser.depth_; }
    Parser& parser;
  };

  ExpressionPtr make(Kind kind, size_t offset) const {
    auto e = std::make_unique<Expression>();
    e->kind = kind;
    e->offset = offset;
    return e;
  }
  ExpressionPtr binary(std::string op, size_t offset, ExpressionPtr left, ExpressionPtr right) const {
    ExpressionPtr e = make(Kind::kBinary, offset);
    e->text = std::move(op);
    e->items.push_back(std::move(left));
    e->items.push_back(std::move(right));
    return e;
  }

  // Statements.
  Body statements(std::initializer_list<std::string_view> ends) {
    Depth depth(*this);
    Body body;
    while (current().kind != Token::Kind::kEnd) {
      if (current().kind == Token::Kind::kText) {
        auto s = std::make_unique<Statement>();
        s->kind = Statement::Kind::kText;
        s->text = take().text;
        body.push_back(std::move(s));
      } else if (current().kind == Token::Kind::kOutputBegin) {
        auto s = std::make_unique<Statement>();
        s->kind = Statement::Kind::kOutput;
        s->offset = take().offset;
        s->expression = expression_list();
        if (current().kind != Token::Kind::kOutputEnd) fail(fmt::format("expected '}}}}', got {}", shown()));
        take();
        body.push_back(std::move(s));
      } else {
        if (peek().kind != Token::Kind::kName) {
          take();
          fail(fmt::format("expected the name of a tag, got {}", shown()));
        }
        const std::string& name = peek().text;
        if (std::find(ends.begin(), ends.end(), name) != ends.end()) return body;
        if (name.starts_with("end") || name == "else" || name == "elif")
          throw TemplateError{
              fmt::format("unexpected '{}'{}", name,
                          ends.size() > 0 ? fmt::format(": expected {{% {} %}}", *(ends.end() - 1)) : ""),
              peek().offset};
        body.push_back(block());
      }
    }
    if (ends.size() > 0) fail(fmt::format("expected {{% {} %}}", *(ends.end() - 1)));
    return body;
  }

  /// Takes `{% NAME` where a body has ended, and returns the name.
  std::string end_tag() {
    take();
    return take().text;
  }
  Body body_until(std::string_view end) {
    block_end();
    Body body = statements({end});
    end_tag();
    block_end();
    return body;
  }

  std::unique_ptr<Statement> block() {
    auto s = std::make_unique<Statement>();
    s->offset = take().offset;
    size_t name_offset = current().offset;
    std::string name = take().text;
    if (name == "if") {
      if_block(*s);
    } else if (name == "for") {
      for_block(*s);
    } else if (name == "set") {
      set_block(*s);
    } else if (name == "macro") {
      s->kind = Statement::Kind::kMacro;
      s->text = expect_name();
      expect("(");
      parameters(*s);
      macro_body(*s, "endmacro");
    } else if (name == "call") {
      s->kind = Statement::Kind::kCall;
      if (accept("(")) parameters(*s);
      s->expression = expression();
      if (s->expression->kind != Kind::kCall) throw TemplateError{"expected a call of a macro after 'call'", s->offset};
      macro_body(*s, "endcall");
    } else if (name == "filter") {
      s->kind = Statement::Kind::kFilter;
      s->expression = filters(nullptr, true);
      s->body = body_until("endfilter");
    } else if (name == "with") {
      s->kind = Statement::Kind::kWith;
      while (current().kind != Token::Kind::kBlockEnd) {
        if (!s->parameters.empty()) expect(",");
        Parameter p;
        p.name = expect_name();
        expect("=");
        p.fallback = expression();
        s->parameters.push_back(std::move(p));
      }
      s->body = body_until("endwith");
    } else if (name == "generation") {
      s->kind = Statement::Kind::kBody;
      s->body = body_until("endgeneration");
    } else if (name == "break" || name == "continue") {
      s->kind = name == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
      if (loops_ == 0) throw TemplateError{fmt::format("'{}' outside of a loop", name), name_offset};
      block_end();
    } else {
      throw TemplateError{fmt::format("unknown tag '{}'", name), name_offset};
    }
    return s;
  }

  void if_block(Statement& s) {
    s.kind = Statement::Kind::kIf;
    ExpressionPtr condition = expression_list();
    while (true) {
      block_end();
      Body body = condition != nullptr ? statements({"elif", "else", "endif"}) : statements({"endif"});
      s.branches.emplace_back(std::move(condition), std::move(body));
      condition = nullptr;
      std::string end = end_tag();
      if (end == "endif") break;
      if (end == "elif") condition = expression_list();
    }
    block_end();
  }

  void for_block(Statement& s) {
    s.kind = Statement::Kind::kFor;
    s.target = target();
    if (!accept_name("in")) fail(fmt::format("expected 'in', got {}", shown()));
    s.expression = expression_list(false);
    if (accept_name("if")) s.condition = expression();
    s.recursive = accept_name("recursive");
    block_end();
    ++loops_;
    s.body = statements({"else", "endfor"});
    --loops_;
    if (end_tag() == "else") {
      block_end();
      s.otherwise = statements({"endfor"});
      end_tag();
    }
    block_end();
  }

  void set_block(Statement& s) {
    s.target = target();
    if (accept("=")) {
      s.kind = Statement::Kind::kSet;
      s.expression = expression_list();
      block_end();
      return;
    }
    s.kind = Statement::Kind::kSetBlock;
    if (is_operator("|")) s.expression = filters(nullptr, false);
    s.body = body_until("endset");
  }

  Target target() {
    auto one = [&] {
      Target t;
      if (accept("(")) {
        t = target();
        expect(")");
        return t;
      }
      t.name = expect_name();
      if (accept(".")) t.attribute = expect_name();
      return t;
    };
    Target first = one();
    if (!is_operator(",")) return first;
    Target all;
    all.several.push_back(std::move(first));
    while (accept(",")) {
      if (is_name("in") || is_operator("=") || is_operator(")")) break;
      all.several.push_back(one());
    }
    return all;
  }

  /// Notes which of a macro's special names its body uses: what it does not use it does not take.
  void macro_body(Statement& s, std::string_view end) {
    std::vector<std::string> outer = std::exchange(special_names_, {});
    s.body = body_until(end);
    auto uses = [&](std::string_view name) {
      return std::find(special_names_.begin(), special_names_.end(), name) != special_names_.end();
    };
    s.uses_varargs = uses("varargs");
    s.uses_kwargs = uses("kwargs");
    s.uses_caller = uses("caller");
    special_names_.insert(special_names_.end(), outer.begin(), outer.end());
  }

  void parameters(Statement& s) {
    while (!accept(")")) {
      if (!s.parameters.empty()) expect(",");
      if (accept(")")) break;
      Parameter p;
      p.name = expect_name();
      if (accept("="))
        p.fallback = expression();
      else if (!s.parameters.empty() && s.parameters.back().fallback != nullptr)
        fail("a parameter without a default follows one with a default");
      s.parameters.push_back(std::move(p));
    }
  }

  // Expressions, loosest first.
  /// One expression, or several with commas as a tuple.
  ExpressionPtr expression_list(bool conditional = true) {
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

  ExpressionPtr expression() {
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

  ExpressionPtr or_expression() {
    ExpressionPtr left = and_expression();
    while (is_name("or")) {
      size_t offset = take().offset;
      left = binary("or", offset, std::move(left), and_expression());
    }
    return left;
  }

  ExpressionPtr and_expression() {
    ExpressionPtr left = not_expression();
    while (is_name("and")) {
      size_t offset = take().offset;
      left = binary("and", offset, std::move(left), not_expression());
    }
    return left;
  }

  ExpressionPtr not_expression() {
    if (!is_name("not")) return comparison();
    Depth depth(*this);
    ExpressionPtr e = make(Kind::kUnary, take().offset);
    e->text = "not";
    e->items.push_back(not_expression());
    return e;
  }

  ExpressionPtr comparison() {
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

  ExpressionPtr left_associative(std::initializer_list<std::string_view> operators, ExpressionPtr (Parser::*next)()) {
    ExpressionPtr left = (this->*next)();
    while (current().kind == Token::Kind::kOperator &&
           std::find(operators.begin(), operators.end(), current().text) != operators.end()) {
      Token op = take();
      left = binary(op.text, op.offset, std::move(left), (this->*next)());
    }
    return left;
  }
  ExpressionPtr sum() { return left_associative({"+", "-"}, &Parser::concatenation); }
  ExpressionPtr concatenation() { return left_associative({"~"}, &Parser::product); }
  ExpressionPtr product() { return left_associative({"*", "/", "//", "%"}, &Parser::power); }
  ExpressionPtr power() { return left_associative({"**"}, &Parser::filtered_unary); }
  ExpressionPtr filtered_unary() { return unary(true); }

  ExpressionPtr unary(bool with_filters) {
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

  ExpressionPtr literal(Value value) {
    ExpressionPtr e = make(Kind::kLiteral, take().offset);
    e->value = std::move(value);
    return e;
  }

  ExpressionPtr primary() {
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

  ExpressionPtr postfix(ExpressionPtr e) {
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

  ExpressionPtr call(ExpressionPtr callee) {
    ExpressionPtr next = make(Kind::kCall, take().offset);
    next->items.push_back(std::move(callee));
    next->arguments = arguments();
    return next;
  }

  ExpressionPtr subscript(ExpressionPtr object, size_t offset) {
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

  /// After the opening parenthesis.
  CallArguments arguments() {
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

  /// `| name(...)`, `is name ...` and calls after them; `inline_name` when the first filter has no bar before it.
  ExpressionPtr filters(ExpressionPtr e, bool inline_name) {
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

  bool starts_test_argument() const {
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

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
  std::vector<std::string> special_names_;  // of those that macros have, the ones used so far
};

}  // namespace

Body parse(std::string_view source) {
  return Parser(tokenize(source)).run();
}

}  // namespace retort::text::jinja
