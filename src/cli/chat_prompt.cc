#include "cli/chat_prompt.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace retort::cli {

base::Result<text::ChatTemplate> load_template(const formats::GgufFile& file, const text::Tokenizer& tokenizer,
                                               const std::string& template_file) {
  std::string source;
  if (!template_file.empty()) {
    RETORT_TRY(source, read_input(template_file));
  } else {
    RETORT_TRY(std::optional<std::string_view> own, file.string("tokenizer.chat_template"));
    if (!own)
      return base::fail(fmt::format(
          "{}: this is a base model: it has no chat template; continue a plain text with `retort run --raw`, or "
          "give a template with --template",
          file.path()));
    source = *own;
  }
  auto token = [&](std::optional<int32_t> id) {
    return id ? std::string(tokenizer.vocabulary().piece(*id)) : std::string();
  };
  return text::ChatTemplate::compile(std::move(source), token(tokenizer.vocabulary().bos),
                                     token(tokenizer.vocabulary().eos));
}

}  // namespace retort::cli
