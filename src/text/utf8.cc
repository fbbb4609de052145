#include "text/utf8.h"

namespace retort::text {

Utf8Character decode_utf8(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xc2 || lead > 0xf4) return {};
  int length = claimed_length(lead);
  if (text.size() - at < static_cast<size_t>(length)) return {};
  uint32_t code = lead & (0x7fu >> length);
  for (int i = 1; i < length; ++i) {
    unsigned char next = byte(at + static_cast<size_t>(i));
    if ((next & 0xc0) != 0x80) return {};
    code = code << 6 | (next & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, length};
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    int length = decode_utf8(text, at).length;
    if (length > 0)
      out.append(text, at, static_cast<size_t>(length));
    else
      out += "\xef\xbf\xbd";
    at += static_cast<size_t>(length > 0 ? length : 1);
  }
  return out;
}

size_t incomplete_tail(std::string_view text) {
  for (size_t tail = 1; tail <= 3 && tail <= text.size(); ++tail) {
    auto byte = static_cast<unsigned char>(text[text.size() - tail]);
    if ((byte & 0xc0) == 0x80) continue;
    if (byte < 0xc2 || byte > 0xf4 || static_cast<size_t>(claimed_length(byte)) <= tail) return 0;
    // Only the second byte decides between valid and not beyond the lead: E0, ED, F0 and F4 restrict it.
    if (tail >= 2) {
      auto second = static_cast<unsigned char>(text[text.size() - tail + 1]);
      if ((byte == 0xe0 && second < 0xa0) || (byte == 0xed && second > 0x9f) || (byte == 0xf0 && second < 0x90) ||
          (byte == 0xf4 && second > 0x8f))
        return 0;
    }
    return tail;
  }
  return 0;
}

}  // namespace retort::text
