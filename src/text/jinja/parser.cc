// Recursive descent over jinja2's grammar: its statements.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "text/jinja/ast.h"
#include "text/jinja/expression_parser.h"

namespace retort::text::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body run() { return statements({}); }

 private:
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
    expect_end_of_tag();
    Body body = statements({end});
    end_tag();
    expect_end_of_tag();
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
      if (s->expression->kind != Expression::Kind::kCall)
        throw TemplateError{"expected a call of a macro after 'call'", s->offset};
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
      expect_end_of_tag();
    } else {
      throw TemplateError{fmt::format("unknown tag '{}'", name), name_offset};
    }
    return s;
  }

  void if_block(Statement& s) {
    s.kind = Statement::Kind::kIf;
    ExpressionPtr condition = expression_list();
    while (true) {
      expect_end_of_tag();
      Body body = condition != nullptr ? statements({"elif", "else", "endif"}) : statements({"endif"});
      s.branches.emplace_back(std::move(condition), std::move(body));
      condition = nullptr;
      std::string end = end_tag();
      if (end == "endif") break;
      if (end == "elif") condition = expression_list();
    }
    expect_end_of_tag();
  }

  void for_block(Statement& s) {
    s.kind = Statement::Kind::kFor;
    s.target = target();
    if (!accept_name("in")) fail(fmt::format("expected 'in', got {}", shown()));
    s.expression = expression_list(false);
    if (accept_name("if")) s.condition = expression();
    s.recursive = accept_name("recursive");
    expect_end_of_tag();
    ++loops_;
    s.body = statements({"else", "endfor"});
    --loops_;
    if (end_tag() == "else") {
      expect_end_of_tag();
      s.otherwise = statements({"endfor"});
      end_tag();
    }
    expect_end_of_tag();
  }

  void set_block(Statement& s) {
    s.target = target();
    if (accept("=")) {
      s.kind = Statement::Kind::kSet;
      s.expression = expression_list();
      expect_end_of_tag();
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

  int loops_ = 0;
};

}  // namespace

Body parse(std::string_view source) {
  return Parser(tokenize(source)).run();
}

}  // namespace retort::text::jinja
