// Tokenizer: text to token ids and back, as the model's GGUF file describes it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/vocabulary.h"

namespace retort::text {

class BytePair;
class SentencePiece;

struct EncodeOptions {
  std::optional<bool> add_bos;  // default: as the model asks
  bool parse_special = true;    // whether "<|im_end|>" in the text is that token or seven characters
};

/// Immutable and thread-safe. The ids are those of llama.cpp for the same file and options, but for words with
/// combining marks under the rules of GPT-4o and Tekken: see pre_tokenizer.cc.
class Tokenizer {
 public:
  /// Fails when the file has no tokenizer, or one of a kind or with a pre-tokenizer that is not known. `file` must
  /// outlive it.
  static base::Result<std::unique_ptr<Tokenizer>> load(const formats::GgufFile& file);
  ~Tokenizer();

  /// The ids of `text`. Takes any bytes: what is not UTF-8 becomes byte tokens or U+FFFD, as the kind of tokenizer has
  /// it.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The bytes that a token adds to the text: nothing for control tokens, unless `show_control`, and for ids out of
  /// range. A token may be part of a character: see StreamingDecoder.
  std::string piece(int32_t id, bool show_control = false) const;

  /// The text of a sequence. A leading space that encode() puts before the first word is dropped.
  std::string decode(std::span<const int32_t> ids, bool show_control = false) const;

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  bool adds_bos() const { return adds_bos_; }
  bool ends_generation(int32_t id) const { return vocabulary_->ends_generation(id); }

 private:
  Tokenizer();
  struct Fragment {
    std::string_view text;  // or, when empty, the token:
    int32_t token = -1;
  };
  std::vector<Fragment> find_specials(std::string_view text, bool parse_special) const;

  std::unique_ptr<Vocabulary> vocabulary_;
  std::unique_ptr<BytePair> byte_pair_;
  std::unique_ptr<SentencePiece> sentence_piece_;
  std::vector<int32_t> specials_by_text_;  // for finding which occur
  bool adds_bos_ = false, adds_eos_ = false, adds_space_ = false;
};

/// Turns tokens into text as they are generated, holding back bytes until they are whole characters. Not thread-safe.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool show_control = false)
      : tokenizer_(tokenizer), show_control_(show_control) {}

  /// The text that this token completes, always valid UTF-8; bytes that can no longer become a character are U+FFFD.
  std::string push(int32_t id);
  /// What is left: U+FFFD for each byte of an unfinished character.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool show_control_;
  std::string held_;
};

}  // namespace retort::text
