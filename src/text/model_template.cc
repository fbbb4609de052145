#include "text/model_template.h"

#include <fmt/format.h>

namespace retort::text {

base::Result<ChatTemplate> load_chat_template(const formats::GgufFile& file, const Tokenizer& tokenizer,
                                              std::string source) {
  if (source.empty()) {
    RETORT_TRY(std::optional<std::string_view> own, file.string("tokenizer.chat_template"));
    if (!own)
      return base::fail(fmt::format(
          "{}: this is a base model: it has no chat template; continue a plain text with `retort run --raw`, or "
          "give a template with --template",
          file.path()));
    source = *own;
  }
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  auto piece = [&](std::optional<int32_t> id) { return id ? std::string(vocabulary.piece(*id)) : std::string(); };
  return ChatTemplate::compile(std::move(source), piece(vocabulary.bos), piece(vocabulary.eos));
}

std::vector<int32_t> encode_rendered(const Tokenizer& tokenizer, std::string_view prompt) {
  EncodeOptions options;
  std::optional<int32_t> bos = tokenizer.vocabulary().bos;
  if (bos && prompt.starts_with(tokenizer.vocabulary().piece(*bos))) options.add_bos = false;
  return tokenizer.encode(prompt, options);
}

}  // namespace retort::text
