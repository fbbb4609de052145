// Python's view of characters: white space, letters, digits, and changes of case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace retort::text::jinja {

/// str.isspace() of one character.
bool is_space(uint32_t code);
bool is_letter(uint32_t code);
/// str.isdecimal(), str.isdigit() and str.isnumeric() of one character. Of the characters that are numbers without
/// being decimal digits, superscripts and subscripts are digits.
bool is_decimal(uint32_t code);
bool is_digit(uint32_t code);
bool is_numeric(uint32_t code);
bool is_printable(uint32_t code);
/// Whether it has case, and which: -1 lower, 1 upper or title, 0 neither.
int case_of(uint32_t code);

/// Whether the text is not empty and all of its characters are so; invalid bytes are not.
bool all_characters(std::string_view text, bool (*test)(uint32_t));
/// str.islower(), str.isupper(), str.istitle().
bool is_lower(std::string_view text);
bool is_upper(std::string_view text);
bool is_title(std::string_view text);

/// Case changes; a letter may become several, as "ß" becomes "SS".
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string swap_case(std::string_view text);
std::string fold_case(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title(), with any non-letter between words.
std::string title(std::string_view text);
/// jinja2's filter of that name cuts words at other places: white space, "-", "(", "[", "{" and "<".
std::string title_filter(std::string_view text);

/// Bytes of white space at the start, and bytes that are left when white space at the end goes.
size_t leading_space(std::string_view text);
size_t without_trailing_space(std::string_view text);

}  // namespace retort::text::jinja
