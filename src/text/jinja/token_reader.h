// Reads a template's tokens one by one, with the messages of a parser: the lowest of its three layers (expressions
// stand on this, statements on them).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"

namespace retort::text::jinja {

class TokenReader {
 public:
  /// Of tokenize(): the last one is kEnd, and stays the current one.
  explicit TokenReader(std::vector<Token> tokens);

 protected:
  const Token& current() const { return tokens_[at_]; }
  const Token& peek() const;
  Token take();

  bool is_operator(std::string_view text) const;
  bool is_name(std::string_view text) const;
  /// Takes the operator or name if it is the current token.
  bool accept(std::string_view op);
  bool accept_name(std::string_view name);

  /// Each throws TemplateError where something else comes.
  void expect(std::string_view op);
  std::string expect_name();
  void expect_end_of_tag();

  /// Throws TemplateError at the current token.
  [[noreturn]] void fail(const std::string& message) const;
  /// The current token, for messages.
  std::string shown() const;

  /// Counts nesting while it lives, so that hostile templates cannot exhaust the stack.
  class Depth {
   public:
    explicit Depth(TokenReader& reader);
    ~Depth() { --reader_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    TokenReader& reader_;
  };

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace retort::text::jinja
