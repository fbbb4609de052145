#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

namespace retort::text {
namespace {

/// Tokens that end a turn or a text in some family of models, whatever the file's eos id says. From llama.cpp's
/// llama-vocab.cpp.
constexpr std::string_view kEnds[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

/// Fill-in-the-middle separators: a model that writes one has finished.
constexpr std::string_view kFillEnds[] = {"<|fim_pad|>", "<fim-pad>",    "<fim_pad>",     "<PAD>",
                                          "[PAD]",       "<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                          "<REPO>",      "<reponame>",   "<|file_sep|>"};

base::Result<const formats::GgufArray*> array_of(const formats::GgufFile& file, const char* key, bool strings,
                                                 uint64_t size) {
  RETORT_TRY(const formats::GgufArray* array, file.array(key));
  if (array == nullptr) return nullptr;
  if ((array->element_type() == formats::GgufType::kString) != strings)
    return base::fail(fmt::format("{}: metadata {} holds elements of another type, expected {}", file.path(), key,
                                  strings ? "strings" : "numbers"));
  if (size > 0 && array->size() != size)
    return base::fail(fmt::format("{}: metadata {} has {} elements, expected {}, one for each token", file.path(), key,
                                  array->size(), size));
  return array;
}

}  // namespace

base::Result<std::unique_ptr<Vocabulary>> Vocabulary::load(const formats::GgufFile& file) {
  std::unique_ptr<Vocabulary> v(new Vocabulary);
  RETORT_TRY(const formats::GgufArray* tokens, array_of(file, "tokenizer.ggml.tokens", true, 0));
  if (tokens == nullptr || tokens->size() == 0 || tokens->size() > (1u << 24))
    return base::fail(fmt::format(
        "{}: metadata tokenizer.ggml.tokens is missing or empty, or has more than 2^24 elements", file.path()));
  v->pieces_ = tokens->strings();
  v->table_ = StringTable(v->pieces_);
  RETORT_TRY(v->scores_, array_of(file, "tokenizer.ggml.scores", false, tokens->size()));
  RETORT_TRY(const formats::GgufArray* kinds, array_of(file, "tokenizer.ggml.token_type", false, tokens->size()));
  v->kinds_.assign(tokens->size(), TokenKind::kNormal);
  if (kinds != nullptr &&
      (kinds->element_type() == formats::GgufType::kFloat32 || kinds->element_type() == formats::GgufType::kFloat64))
    return base::fail(
        fmt::format("{}: metadata tokenizer.ggml.token_type holds real numbers, expected integers", file.path()));
  for (uint64_t i = 0; kinds != nullptr && i < kinds->size(); ++i) {
    int64_t kind = kinds->integer(i);
    if (kind < 0 || kind > 6)
      return base::fail(fmt::format("{}: token {} has type {}, known are 0 to 6", file.path(), i, kind));
    v->kinds_[i] = static_cast<TokenKind>(kind);
  }
  auto id = [&](const char* key) -> base::Result<std::optional<int32_t>> {
    RETORT_TRY(std::optional<int64_t> value, file.integer(key));
    if (!value || *value < 0 || *value >= v->size()) return std::nullopt;  // some files write -1 or 2^32-1 for none
    return static_cast<int32_t>(*value);
  };
  RETORT_TRY(v->bos, id("tokenizer.ggml.bos_token_id"));
  RETORT_TRY(v->eos, id("tokenizer.ggml.eos_token_id"));
  RETORT_TRY(v->unknown, id("tokenizer.ggml.unknown_token_id"));
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    RETORT_TRY(std::optional<int32_t> end, id(key));
    if (end) v->ends_.push_back(*end);
  }
  v->classify();
  return v;
}

void Vocabulary::classify() {
  if (eos) ends_.push_back(*eos);
  for (std::string_view piece : kEnds) {
    int32_t id = find(piece);
    if (id < 0) continue;
    ends_.push_back(id);
    kinds_[static_cast<size_t>(id)] = TokenKind::kControl;
  }
  for (std::string_view piece : kFillEnds) {
    int32_t id = find(piece);
    if (id >= 0 && is_control(id)) ends_.push_back(id);
  }
  // In the harmony format <|end|> only closes a message.
  bool harmony = find("<|return|>") >= 0 && (find("<|call|>") >= 0 || find("<|calls|>") >= 0);
  if (int32_t id = find("<|end|>"); harmony && id >= 0) {
    ends_.erase(std::remove(ends_.begin(), ends_.end(), id), ends_.end());
    kinds_[static_cast<size_t>(id)] = TokenKind::kUserDefined;
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());

  for (int32_t id = 0; id < size(); ++id)
    if ((is_control(id) || kind(id) == TokenKind::kUserDefined) && !piece(id).empty()) specials_.push_back(id);
  std::stable_sort(specials_.begin(), specials_.end(),
                   [this](int32_t a, int32_t b) { return piece(a).size() > piece(b).size(); });
}

float Vocabulary::score(int32_t id) const {
  return scores_ == nullptr ? 0 : static_cast<float>(scores_->number(static_cast<uint64_t>(id)));
}

bool Vocabulary::ends_generation(int32_t id) const {
  return std::binary_search(ends_.begin(), ends_.end(), id);
}

}  // namespace retort::text
