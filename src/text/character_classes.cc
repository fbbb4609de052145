#include "text/character_classes.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "text/utf8.h"

namespace retort::text {
namespace {

/// A character of three bytes and one of four of a general category, both in Unicode since long.
struct StandIns {
  uint32_t three_bytes, four_bytes;
};
constexpr StandIns kLetter = {0x0905, 0x10000}, kLowerCase = {0x1d00, 0x10428}, kModifier = {0x1d2c, 0x16b40};
constexpr StandIns kMark = {0x0ec8, 0x101fd}, kSpacingMark = {0x0903, 0x11000};
constexpr StandIns kDigit = {0x0966, 0x104a0}, kNumber = {0x2460, 0x10107};
constexpr StandIns kPunctuation = {0x0964, 0x10100}, kSymbol = {0x2f00, 0x1d000}, kFormat = {0x2060, 0x110bd};

struct Range {
  uint32_t first, last;
  StandIns stand_ins;
};

// The differences between UnicodeData.txt 14.0 and 15.1, and U+180E; in order.
constexpr Range kRanges[] = {
    {0xcf3, 0xcf3, kSpacingMark},     {0xece, 0xece, kMark},
    {0x180e, 0x180e, kFormat},        {0x2ffc, 0x2fff, kSymbol},
    {0x31ef, 0x31ef, kSymbol},        {0x10efd, 0x10eff, kMark},
    {0x1123f, 0x11240, kLetter},      {0x11241, 0x11241, kMark},
    {0x11b00, 0x11b09, kPunctuation}, {0x11f00, 0x11f01, kMark},
    {0x11f02, 0x11f02, kLetter},      {0x11f03, 0x11f03, kSpacingMark},
    {0x11f04, 0x11f10, kLetter},      {0x11f12, 0x11f33, kLetter},
    {0x11f34, 0x11f35, kSpacingMark}, {0x11f36, 0x11f3a, kMark},
    {0x11f3e, 0x11f3f, kSpacingMark}, {0x11f40, 0x11f40, kMark},
    {0x11f41, 0x11f41, kSpacingMark}, {0x11f42, 0x11f42, kMark},
    {0x11f43, 0x11f4f, kPunctuation}, {0x11f50, 0x11f59, kDigit},
    {0x1342f, 0x1342f, kLetter},      {0x13439, 0x1343f, kFormat},
    {0x13440, 0x13440, kMark},        {0x13441, 0x13446, kLetter},
    {0x13447, 0x13455, kMark},        {0x1b132, 0x1b132, kLetter},
    {0x1b155, 0x1b155, kLetter},      {0x1d2c0, 0x1d2d3, kNumber},
    {0x1df25, 0x1df2a, kLowerCase},   {0x1e030, 0x1e06d, kModifier},
    {0x1e08f, 0x1e08f, kMark},        {0x1e4d0, 0x1e4ea, kLetter},
    {0x1e4eb, 0x1e4eb, kModifier},    {0x1e4ec, 0x1e4ef, kMark},
    {0x1e4f0, 0x1e4f9, kDigit},       {0x1f6dc, 0x1f6dc, kSymbol},
    {0x1f774, 0x1f776, kSymbol},      {0x1f77b, 0x1f77f, kSymbol},
    {0x1f7d9, 0x1f7d9, kSymbol},      {0x1fa75, 0x1fa77, kSymbol},
    {0x1fa87, 0x1fa88, kSymbol},      {0x1faad, 0x1faaf, kSymbol},
    {0x1fabb, 0x1fabd, kSymbol},      {0x1fabf, 0x1fabf, kSymbol},
    {0x1face, 0x1facf, kSymbol},      {0x1fada, 0x1fadb, kSymbol},
    {0x1fae8, 0x1fae8, kSymbol},      {0x1faf7, 0x1faf8, kSymbol},
    {0x2b739, 0x2b739, kLetter},      {0x2ebf0, 0x2ee5d, kLetter},
    {0x31350, 0x323af, kLetter},
};

/// Nothing below has a new class, and every character from here on three bytes or four.
constexpr unsigned char kFirstLead = 0xe0;

const Range* range_of(uint32_t code) {
  const Range* range = std::lower_bound(std::begin(kRanges), std::end(kRanges), code,
                                        [](const Range& r, uint32_t value) { return r.last < value; });
  return range != std::end(kRanges) && code >= range->first ? range : nullptr;
}

}  // namespace

std::string_view with_known_classes(std::string_view text, std::string& copy) {
  bool copied = false;
  std::string stand_in;
  for (size_t at = 0; at < text.size();) {
    auto lead = static_cast<unsigned char>(text[at]);
    if (lead < kFirstLead) {
      ++at;
      continue;
    }
    Utf8Character character = decode_utf8(text, at);
    if (const Range* range = range_of(character.code); range != nullptr) {
      if (!copied) copy = text;
      copied = true;
      stand_in.clear();
      append_utf8(stand_in, character.length == 3 ? range->stand_ins.three_bytes : range->stand_ins.four_bytes);
      copy.replace(at, stand_in.size(), stand_in);
    }
    at += static_cast<size_t>(std::max(character.length, 1));
  }
  return copied ? copy : text;
}

}  // namespace retort::text
