#include "cli/chat_prompt.h"

#include "cli/command.h"
#include "text/model_template.h"

namespace retort::cli {

base::Result<text::ChatTemplate> load_template(const formats::GgufFile& file, const text::Tokenizer& tokenizer,
                                               const std::string& template_file) {
  std::string source;
  if (!template_file.empty()) {
    RETORT_TRY(source, read_input(template_file));
  }
  return text::load_chat_template(file, tokenizer, std::move(source));
}

}  // namespace retort::cli
