// A model's chat template, ready to render, for the commands that hold conversations.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace retort::cli {

/// The template in `template_file`, or when that is empty the model's own. A model without one is an error that says
/// so.
base::Result<text::ChatTemplate> load_template(const formats::GgufFile& file, const text::Tokenizer& tokenizer,
                                               const std::string& template_file = "");

}  // namespace retort::cli
