// The chat template in a model's file, with the special tokens that its vocabulary fills in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace retort::text {

/// Compiles the template of `file`, or `source` when that is not empty. A base model, which has none, is an error that
/// says so.
base::Result<ChatTemplate> load_chat_template(const formats::GgufFile& file, const Tokenizer& tokenizer,
                                              std::string source = "");

/// The ids of a prompt that a template rendered: special tokens are parsed, and the beginning-of-sequence token is not
/// put before one that the template has written itself.
std::vector<int32_t> encode_rendered(const Tokenizer& tokenizer, std::string_view prompt);

}  // namespace retort::text
