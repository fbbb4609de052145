// UTF-8: decoding one character at a time and repairing text that is not valid.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace retort::text {

/// One decoded character: its code point and its length in bytes, 0 when the bytes there are not a valid character.
struct Utf8Character {
  uint32_t code = 0;
  int length = 0;
};

/// Decodes the character at `at` (below text.size()). Overlong forms, surrogates and values past U+10FFFF are not
/// valid.
Utf8Character decode_utf8(std::string_view text, size_t at);

/// Appends a code point.
void append_utf8(std::string& out, uint32_t code);

/// `text` with every byte that is not part of a valid character replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

/// Bytes that a character starting with this byte claims to have; 1 for a byte that cannot start one.
inline int claimed_length(unsigned char lead) {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/// How many bytes at the end of `text` are the beginning of a character that more bytes could complete: 0 to 3.
size_t incomplete_tail(std::string_view text);

}  // namespace retort::text
