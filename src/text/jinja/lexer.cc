#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cstdlib>

#include "text/jinja/characters.h"
#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool continues_name(char c) {
  return starts_name(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {
    if (source_.ends_with('\n')) source_.remove_suffix(1);  // as jinja2 does with one newline at the end
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      size_t tag = at_;
      while ((tag = source_.find('{', tag)) != std::string_view::npos && !is_tag(tag)) ++tag;
      if (tag == std::string_view::npos) {
        text(source_.substr(at_));
        break;
      }
      char kind = source_[tag + 1];
      char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      std::string_view before = source_.substr(at_, tag - at_);
      if (sign == '-')
        before = before.substr(0, without_trailing_space(before));
      else if (kind != '{' && sign != '+')
        before = without_indent(before);
      text(before);
      at_ = tag + 2 + (sign == '-' || (sign == '+' && kind != '{') ? 1 : 0);
      if (kind == '#')
        comment(tag);
      else
        inside(tag, kind == '{');
    }
    tokens_.push_back({Token::Kind::kEnd, "", 0, 0, source_.size()});
    return std::move(tokens_);
  }

 private:
  bool is_tag(size_t at) const {
    return at + 1 < source_.size() && (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#');
  }

  /// Blanks at the end of `before` go when nothing else stands on their line.
  std::string_view without_indent(std::string_view before) const {
    size_t blanks = before.find_last_not_of(" \t");
    size_t keep = blanks == std::string_view::npos ? 0 : blanks + 1;
    bool line_start = keep == 0 ? at_ == 0 || source_[at_ - 1] == '\n' : before[keep - 1] == '\n';
    return line_start ? before.substr(0, keep) : before;
  }

  void text(std::string_view text) {
    if (!text.empty())
      tokens_.push_back(
          {Token::Kind::kText, std::string(text), 0, 0, static_cast<size_t>(text.data() - source_.data())});
  }

  void skip_space() { at_ += leading_space(source_.substr(at_)); }

  /// After a block or comment tag: its newline goes, or with `-` all white space.
  void after_tag(char sign) {
    if (sign == '-')
      skip_space();
    else if (sign != '+' && source_.substr(at_).starts_with("\r\n"))
      at_ += 2;
    else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n')
      ++at_;
  }

  void comment(size_t tag) {
    size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) throw TemplateError{"this comment is not closed: expected #}", tag};
    char sign = end > at_ ? source_[end - 1] : ' ';
    at_ = end + 2;
    after_tag(sign == '-' || sign == '+' ? sign : ' ');
  }

  void raw() {
    // The tag {% raw %} has been read; find {% endraw %} without reading what is between.
    size_t search = at_;
    while (true) {
      size_t tag = source_.find("{%", search);
      if (tag == std::string_view::npos) throw TemplateError{"{% raw %} is not closed: expected {% endraw %}", at_};
      size_t at = tag + 2;
      char left = at < source_.size() ? source_[at] : ' ';
      if (left == '-' || left == '+') ++at;
      at += leading_space(source_.substr(at));
      search = tag + 2;
      if (!source_.substr(at).starts_with("endraw")) continue;
      at += 6;
      at += leading_space(source_.substr(at));
      char right = at < source_.size() ? source_[at] : ' ';
      if (right == '-' || right == '+') ++at;
      if (!source_.substr(at).starts_with("%}")) continue;
      std::string_view body = source_.substr(at_, tag - at_);
      text(left == '-' ? body.substr(0, without_trailing_space(body)) : left == '+' ? body : without_indent(body));
      at_ = at + 2;
      after_tag(right == '-' || right == '+' ? right : ' ');
      return;
    }
  }

  void inside(size_t tag, bool output) {
    size_t first = tokens_.size();
    tokens_.push_back({output ? Token::Kind::kOutputBegin : Token::Kind::kBlockBegin, "", 0, 0, tag});
    std::string_view close = output ? "}}" : "%}";
    std::string open;  // brackets that await their partner: within them "}}" closes dicts, not the tag
    while (true) {
      skip_space();
      if (at_ >= source_.size()) throw TemplateError{fmt::format("this tag is not closed: expected {}", close), tag};
      std::string_view rest = source_.substr(at_);
      bool signed_close = (rest[0] == '-' || (rest[0] == '+' && !output)) && rest.substr(1).starts_with(close);
      if (open.empty() && (signed_close || rest.starts_with(close))) {
        tokens_.push_back({output ? Token::Kind::kOutputEnd : Token::Kind::kBlockEnd, "", 0, 0, at_});
        at_ += close.size() + (signed_close ? 1 : 0);
        bool is_raw = !output && tokens_.size() == first + 3 && tokens_[first + 1].kind == Token::Kind::kName &&
                      tokens_[first + 1].text == "raw";
        if (signed_close && rest[0] == '-')
          skip_space();
        else if (!output && !is_raw)  // the newline after {% raw %} is part of the text
          after_tag(signed_close ? rest[0] : ' ');
        if (is_raw) {
          tokens_.resize(first);
          raw();
        }
        return;
      }
      token(open);
    }
  }

  void token(std::string& open) {
    size_t start = at_;
    char c = source_[at_];
    if (starts_name(c)) {
      while (at_ < source_.size() && continues_name(source_[at_])) ++at_;
      tokens_.push_back({Token::Kind::kName, std::string(source_.substr(start, at_ - start)), 0, 0, start});
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      number();
    } else if (c == '"' || c == '\'') {
      string(c);
    } else {
      static constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*",
                                                        "/",  "%",  "~",  "<",  ">",  "=",  "(", ")", "[",
                                                        "]",  "{",  "}",  ",",  ".",  ":",  "|", ";"};
      for (std::string_view op : kOperators) {
        if (!source_.substr(at_).starts_with(op)) continue;
        if (c == '(' || c == '[' || c == '{') open += c;
        if (c == ')' || c == ']' || c == '}') {
          char partner = c == ')' ? '(' : c == ']' ? '[' : '{';
          if (open.empty() || open.back() != partner) throw TemplateError{fmt::format("unexpected '{}'", c), start};
          open.pop_back();
        }
        tokens_.push_back({Token::Kind::kOperator, std::string(op), 0, 0, start});
        at_ += op.size();
        return;
      }
      throw TemplateError{
          fmt::format("unexpected character '{}'", std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?'), start};
    }
  }

  void number() {
    size_t start = at_;
    std::string digits;
    auto take_digits = [&] {
      while (at_ < source_.size() &&
             (std::isdigit(static_cast<unsigned char>(source_[at_])) != 0 || source_[at_] == '_')) {
        if (source_[at_] != '_') digits += source_[at_];
        ++at_;
      }
    };
    take_digits();
    bool real = false;
    if (at_ + 1 < source_.size() && source_[at_] == '.' &&
        std::isdigit(static_cast<unsigned char>(source_[at_ + 1])) != 0) {
      real = true;
      digits += source_[at_++];
      take_digits();
    }
    if (at_ < source_.size() && (source_[at_] == 'e' || source_[at_] == 'E')) {
      size_t exponent = at_ + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      if (exponent < source_.size() && std::isdigit(static_cast<unsigned char>(source_[exponent])) != 0) {
        real = true;
        digits += source_.substr(at_, exponent - at_);
        at_ = exponent;
        take_digits();
      }
    }
    Token token{real ? Token::Kind::kFloat : Token::Kind::kInt, "", 0, 0, start};
    const char *begin = digits.data(), *end = begin + digits.size();
    std::errc error = real ? std::errc() : std::from_chars(begin, end, token.integer).ec;
    if (real) token.real = std::strtod(begin, nullptr);
    if (error != std::errc()) throw TemplateError{fmt::format("number {} is too large", digits), start};
    tokens_.push_back(token);
  }

  void string(char mark) {
    size_t start = at_++;
    std::string value;
    while (true) {
      if (at_ >= source_.size()) throw TemplateError{"this string is not closed", start};
      char c = source_[at_++];
      if (c == mark) break;
      if (c != '\\' || at_ >= source_.size()) {
        value += c;
        continue;
      }
      c = source_[at_++];
      auto hex = [&](size_t digits) {
        uint32_t code = 0;
        auto [end, error] =
            std::from_chars(source_.data() + at_, source_.data() + std::min(at_ + digits, source_.size()), code, 16);
        if (error != std::errc() || end != source_.data() + at_ + digits || code > 0x10ffff)
          throw TemplateError{fmt::format("expected {} hexadecimal digits of a character", digits), at_};
        at_ += digits;
        append_utf8(value, code);
      };
      switch (c) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case 'b':
          value += '\b';
          break;
        case 'f':
          value += '\f';
          break;
        case 'v':
          value += '\v';
          break;
        case 'a':
          value += '\a';
          break;
        case '0':
          value += '\0';
          break;
        case '\n':
          break;
        case 'x':
          hex(2);
          break;
        case 'u':
          hex(4);
          break;
        case 'U':
          hex(8);
          break;
        case '\\':
        case '\'':
        case '"':
          value += c;
          break;
        default:
          value += '\\';
          value += c;
      }
    }
    tokens_.push_back({Token::Kind::kString, std::move(value), 0, 0, start});
  }

  std::string_view source_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace retort::text::jinja
