#include "text/jinja/token_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace retort::text::jinja {
namespace {

constexpr int kMaxDepth = 150;

}  // namespace

TokenReader::TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

const Token& TokenReader::peek() const {
  return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
}

Token TokenReader::take() {
  return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_];
}

bool TokenReader::is_operator(std::string_view text) const {
  return current().kind == Token::Kind::kOperator && current().text == text;
}

bool TokenReader::is_name(std::string_view text) const {
  return current().kind == Token::Kind::kName && current().text == text;
}

bool TokenReader::accept(std::string_view op) {
  if (!is_operator(op)) return false;
  take();
  return true;
}

bool TokenReader::accept_name(std::string_view name) {
  if (!is_name(name)) return false;
  take();
  return true;
}

void TokenReader::expect(std::string_view op) {
  if (!accept(op)) fail(fmt::format("expected '{}', got {}", op, shown()));
}

std::string TokenReader::expect_name() {
  if (current().kind != Token::Kind::kName) fail(fmt::format("expected a name, got {}", shown()));
  return take().text;
}

void TokenReader::expect_end_of_tag() {
  if (current().kind != Token::Kind::kBlockEnd) fail(fmt::format("expected the end of the tag, got {}", shown()));
  take();
}

void TokenReader::fail(const std::string& message) const {
  throw TemplateError{message, current().offset};
}

std::string TokenReader::shown() const {
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

TokenReader::Depth::Depth(TokenReader& reader) : reader_(reader) {
  if (++reader_.depth_ > kMaxDepth) reader_.fail(fmt::format("nested more than {} deep", kMaxDepth));
}

}  // namespace retort::text::jinja
