#include "text/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "text/utf8.h"

namespace retort::text::jinja {
namespace {

utf8proc_category_t category(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

/// Unicode's SpecialCasing.txt, but for Greek letters with iota below: code point, upper case, title case.
struct Special {
  uint32_t code;
  const char *upper, *title;
};
constexpr Special kSpecials[] = {
    {0x00df, "SS", "Ss"},
    {0x0149, "\u02bcN", "\u02bcN"},
    {0x01f0, "J\u030c", "J\u030c"},
    {0x0390, "\u0399\u0308\u0301", "\u0399\u0308\u0301"},
    {0x03b0, "\u03a5\u0308\u0301", "\u03a5\u0308\u0301"},
    {0x0587, "\u0535\u0552", "\u0535\u0582"},
    {0x1e96, "H\u0331", "H\u0331"},
    {0x1e97, "T\u0308", "T\u0308"},
    {0x1e98, "W\u030a", "W\u030a"},
    {0x1e99, "Y\u030a", "Y\u030a"},
    {0x1e9a, "A\u02be", "A\u02be"},
    {0xfb00, "FF", "Ff"},
    {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"},
    {0xfb03, "FFI", "Ffi"},
    {0xfb04, "FFL", "Ffl"},
    {0xfb05, "ST", "St"},
    {0xfb06, "ST", "St"},
    {0xfb13, "\u0544\u0546", "\u0544\u0576"},
    {0xfb14, "\u0544\u0535", "\u0544\u0565"},
    {0xfb15, "\u0544\u053b", "\u0544\u056b"},
    {0xfb16, "\u054e\u0546", "\u054e\u0576"},
    {0xfb17, "\u0544\u053d", "\u0544\u056d"},
};

const Special* special(uint32_t code) {
  if (code < 0xdf) return nullptr;
  auto found = std::lower_bound(std::begin(kSpecials), std::end(kSpecials), code,
                                [](const Special& s, uint32_t c) { return s.code < c; });
  return found != std::end(kSpecials) && found->code == code ? found : nullptr;
}

void append_upper(std::string& out, uint32_t code) {
  if (const Special* s = special(code))
    out += s->upper;
  else
    append_utf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
}
void append_title(std::string& out, uint32_t code) {
  if (const Special* s = special(code))
    out += s->title;
  else
    append_utf8(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
}

constexpr uint32_t kSigma = 0x3a3, kFinalSigma = 0x3c2, kDottedI = 0x130;

/// `before` and `after`: the text around the character, for the sigma that ends a word.
void append_lower(std::string& out, uint32_t code, std::string_view before, std::string_view after) {
  if (code == kDottedI) {
    out += "i\u0307";
  } else if (code == kSigma) {
    size_t at = before.size();
    while (at > 0 && (static_cast<unsigned char>(before[at - 1]) & 0xc0) == 0x80) --at;
    bool letter_before = at > 0 && is_letter(decode_utf8(before, at - 1).code);
    bool letter_after = !after.empty() && is_letter(decode_utf8(after, 0).code);
    append_utf8(out, letter_before && !letter_after ? kFinalSigma : 0x3c3);
  } else {
    append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

/// Calls change(out, code, text before, text after) for every character; bytes that are none are kept.
template <class Change>
std::string convert(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    auto length = static_cast<size_t>(std::max(c.length, 1));
    if (c.length == 0)
      out += text[at];
    else
      change(out, c.code, text.substr(0, at), text.substr(at + length));
    at += length;
  }
  return out;
}

}  // namespace

bool is_space(uint32_t code) {
  if (code < 128) return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x1f);
  utf8proc_category_t c = category(code);
  return code == 0x85 || c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool is_letter(uint32_t code) {
  utf8proc_category_t c = category(code);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(uint32_t code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(uint32_t code) {
  return is_decimal(code) || code == 0xb2 || code == 0xb3 || code == 0xb9 || (code >= 0x2070 && code <= 0x2089);
}
bool is_numeric(uint32_t code) {
  utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_printable(uint32_t code) {
  utf8proc_category_t c = category(code);
  return code == ' ' || !(c == UTF8PROC_CATEGORY_CN || (c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_CO));
}

int case_of(uint32_t code) {
  utf8proc_category_t c = category(code);
  if (c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LT) return 1;
  return c == UTF8PROC_CATEGORY_LL ? -1 : 0;
}

bool all_characters(std::string_view text, bool (*test)(uint32_t)) {
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    if (c.length == 0 || !test(c.code)) return false;
    at += static_cast<size_t>(c.length);
  }
  return !text.empty();
}

namespace {

bool only_case(std::string_view text, int wanted) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    int found = c.length > 0 ? case_of(c.code) : 0;
    if (found == -wanted) return false;
    any = any || found == wanted;
    at += static_cast<size_t>(std::max(c.length, 1));
  }
  return any;
}

}  // namespace

bool is_lower(std::string_view text) {
  return only_case(text, -1);
}
bool is_upper(std::string_view text) {
  return only_case(text, 1);
}

bool is_title(std::string_view text) {
  bool in_word = false, any = false;
  for (size_t at = 0; at < text.size();) {
    Utf8Character c = decode_utf8(text, at);
    int found = c.length > 0 ? case_of(c.code) : 0;
    if ((found > 0 && in_word) || (found < 0 && !in_word)) return false;
    in_word = found != 0;
    any = any || in_word;
    at += static_cast<size_t>(std::max(c.length, 1));
  }
  return any;
}

std::string upper(std::string_view text) {
  return convert(text, [](std::string& out, uint32_t code, auto, auto) { append_upper(out, code); });
}

std::string lower(std::string_view text) {
  return convert(text, append_lower);
}

std::string swap_case(std::string_view text) {
  return convert(text, [](std::string& out, uint32_t code, std::string_view before, std::string_view after) {
    if (case_of(code) > 0)
      append_lower(out, code, before, after);
    else
      append_upper(out, code);
  });
}

std::string fold_case(std::string_view text) {
  return convert(text, [](std::string& out, uint32_t code, auto, auto) {
    utf8proc_int32_t folded[8];
    int last = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), folded, 8, UTF8PROC_CASEFOLD, &last);
    for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(out, static_cast<uint32_t>(folded[i]));
  });
}

std::string capitalize(std::string_view text) {
  return convert(text, [](std::string& out, uint32_t code, std::string_view before, std::string_view after) {
    if (before.empty())
      append_title(out, code);
    else
      append_lower(out, code, before, after);
  });
}

std::string title(std::string_view text) {
  bool in_word = false;
  return convert(text, [&](std::string& out, uint32_t code, std::string_view before, std::string_view after) {
    if (in_word)
      append_lower(out, code, before, after);
    else
      append_title(out, code);
    in_word = is_letter(code);
  });
}

std::string title_filter(std::string_view text) {
  bool in_word = false;
  return convert(text, [&](std::string& out, uint32_t code, std::string_view before, std::string_view after) {
    if (in_word)
      append_lower(out, code, before, after);
    else
      append_upper(out, code);
    in_word = !is_space(code) &&
              (code > 127 || std::string_view("-({[<").find(static_cast<char>(code)) == std::string_view::npos);
  });
}

size_t leading_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    Utf8Character c = decode_utf8(text, at);
    if (c.length == 0 || !is_space(c.code)) break;
    at += static_cast<size_t>(c.length);
  }
  return at;
}

size_t without_trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    Utf8Character c = decode_utf8(text, begin);
    if (static_cast<size_t>(c.length) != end - begin || !is_space(c.code)) break;
    end = begin;
  }
  return end;
}

}  // namespace retort::text::jinja
