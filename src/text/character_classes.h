// Characters whose classes PCRE2 does not know, or not as Unicode has them.
#pragma once

#include <string>
#include <string_view>

namespace retort::text {

/// What to match the expressions of a pre-tokenizer against instead of `text`: each character that Unicode 15.0 and
/// 15.1 added, which the PCRE2 of Debian 12 and Ubuntu 22.04 (Unicode 14) takes for unassigned, is replaced by one of
/// the same general category and the same length in UTF-8, and so is U+180E, which PCRE2 takes for white space and
/// Unicode has not since version 6.3. So words end where they do in llama.cpp, on every system. Returns `text` itself
/// where it has none of them, and `copy` otherwise. `text` must be valid UTF-8.
std::string_view with_known_classes(std::string_view text, std::string& copy);

}  // namespace retort::text
