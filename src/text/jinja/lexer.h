// Lexer: cuts a template's source into text and tokens, with Jinja's rules for white space around tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace retort::text::jinja {

struct Token {
  enum class Kind {
    kText,
    kOutputBegin,
    kOutputEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInt,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind;
  std::string text;  // of a text, name or operator; a string's value
  int64_t integer = 0;
  double real = 0;
  size_t offset = 0;  // in the source
};

/// Tokens of `source`, kEnd last. As with trim_blocks and lstrip_blocks set: the newline after a block tag goes, and so
/// do blanks between the start of a line and a block tag; `-` takes all white space, `+` leaves it. Throws
/// TemplateError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace retort::text::jinja
