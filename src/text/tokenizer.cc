#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/byte_pair.h"
#include "text/sentence_piece.h"
#include "text/utf8.h"

namespace retort::text {

Tokenizer::Tokenizer() = default;
Tokenizer::~Tokenizer() = default;

base::Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const formats::GgufFile& file) {
  RETORT_TRY(std::optional<std::string_view> kind, file.string("tokenizer.ggml.model"));
  if (!kind)
    return base::fail(
        fmt::format("{}: metadata tokenizer.ggml.model is missing: the file has no tokenizer", file.path()));
  std::unique_ptr<Tokenizer> t(new Tokenizer);
  RETORT_TRY(t->vocabulary_, Vocabulary::load(file));
  if (*kind == "gpt2") {
    RETORT_TRY(t->byte_pair_, BytePair::load(file, *t->vocabulary_));
    t->adds_bos_ = t->byte_pair_->pre_tokenizer().adds_bos();
  } else if (*kind == "llama") {
    t->sentence_piece_ = std::make_unique<SentencePiece>(*t->vocabulary_);
    t->adds_bos_ = true;
    RETORT_TRY(std::optional<bool> space, file.boolean("tokenizer.ggml.add_space_prefix"));
    t->adds_space_ = space.value_or(true);
  } else {
    return base::fail(
        fmt::format("{}: metadata tokenizer.ggml.model is \"{}\", known are gpt2 (byte-level BPE) and llama "
                    "(SentencePiece)",
                    file.path(), *kind));
  }
  RETORT_TRY(std::optional<bool> bos, file.boolean("tokenizer.ggml.add_bos_token"));
  RETORT_TRY(std::optional<bool> eos, file.boolean("tokenizer.ggml.add_eos_token"));
  t->adds_bos_ = bos.value_or(t->adds_bos_) && t->vocabulary_->bos.has_value();
  t->adds_eos_ = eos.value_or(false) && t->vocabulary_->eos.has_value();

  const Vocabulary& v = *t->vocabulary_;
  t->specials_by_text_ = v.specials();
  std::sort(t->specials_by_text_.begin(), t->specials_by_text_.end(),
            [&v](int32_t a, int32_t b) { return v.piece(a) < v.piece(b); });
  return t;
}

std::vector<Tokenizer::Fragment> Tokenizer::find_specials(std::string_view text, bool parse_special) const {
  const Vocabulary& v = *vocabulary_;
  // First, which of the (in Gemma thousands of) special tokens occur at all: the sorted list is narrowed byte by byte.
  std::vector<int32_t> present;
  for (size_t at = 0; at < text.size(); ++at) {
    auto low = specials_by_text_.begin(), high = specials_by_text_.end();
    for (size_t length = 1; low != high && at + length <= text.size(); ++length) {
      std::string_view prefix = text.substr(at, length);
      low = std::lower_bound(low, high, prefix, [&v](int32_t id, std::string_view p) { return v.piece(id) < p; });
      high = std::upper_bound(low, high, prefix, [&v, length](std::string_view p, int32_t id) {
        return p < v.piece(id).substr(0, length);
      });
      if (low != high && v.piece(*low).size() == length) present.push_back(*low);
    }
  }
  std::sort(present.begin(), present.end(), [&v](int32_t a, int32_t b) {
    return v.piece(a).size() != v.piece(b).size() ? v.piece(a).size() > v.piece(b).size() : a < b;
  });
  present.erase(std::unique(present.begin(), present.end()), present.end());

  // Then each is cut out of the text that is left, the longest first.
  std::vector<Fragment> fragments, next;
  if (!text.empty()) fragments.push_back({text, -1});
  for (int32_t id : present) {
    if (!parse_special && v.is_control(id)) continue;
    std::string_view piece = v.piece(id);
    next.clear();
    for (const Fragment& fragment : fragments) {
      size_t start = 0;
      for (size_t found; (found = fragment.text.find(piece, start)) != std::string_view::npos;
           start = found + piece.size()) {
        if (found > start) next.push_back({fragment.text.substr(start, found - start), -1});
        next.push_back({{}, id});
      }
      if (fragment.text.empty())
        next.push_back(fragment);
      else if (start < fragment.text.size())
        next.push_back({fragment.text.substr(start), -1});
    }
    std::swap(fragments, next);
  }
  return fragments;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  if (options.add_bos.value_or(adds_bos_) && vocabulary_->bos) ids.push_back(*vocabulary_->bos);
  bool after_special = true;
  for (const Fragment& fragment : find_specials(text, options.parse_special)) {
    if (fragment.text.empty()) {
      ids.push_back(fragment.token);
      after_special = true;
      continue;
    }
    if (byte_pair_ != nullptr) {
      byte_pair_->encode(fragment.text, ids);
    } else {
      std::string spaced(adds_space_ && after_special ? 1 : 0, ' ');
      spaced += fragment.text;
      sentence_piece_->encode(spaced, ids);
    }
    after_special = false;
  }
  if (adds_eos_ && !options.add_bos) ids.push_back(*vocabulary_->eos);
  return ids;
}

std::string Tokenizer::piece(int32_t id, bool show_control) const {
  const Vocabulary& v = *vocabulary_;
  if (id < 0 || id >= v.size()) return {};
  switch (v.kind(id)) {
    case TokenKind::kControl:
    case TokenKind::kUnknown:
      return show_control ? std::string(v.piece(id)) : std::string();
    case TokenKind::kUserDefined:
      return std::string(v.piece(id));
    case TokenKind::kUnused:
    case TokenKind::kUndefined:
      return {};
    case TokenKind::kNormal:
    case TokenKind::kByte:
      break;
  }
  return byte_pair_ != nullptr ? BytePair::decode(v.piece(id))
                               : SentencePiece::decode(v.piece(id), v.kind(id) == TokenKind::kByte);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool show_control) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    std::string next = piece(ids[i], show_control);
    bool first_word = i == 0 || (i == 1 && vocabulary_->bos == ids[0]);
    if (adds_space_ && first_word && next.starts_with(' ')) next.erase(0, 1);
    text += next;
  }
  return text;
}

std::string StreamingDecoder::push(int32_t id) {
  held_ += tokenizer_.piece(id, show_control_);
  size_t tail = incomplete_tail(held_);
  std::string_view whole = std::string_view(held_).substr(0, held_.size() - tail);
  std::string text = repair_utf8(whole);
  held_.erase(0, whole.size());
  return text;
}

std::string StreamingDecoder::finish() {
  std::string text = repair_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace retort::text
