// BytePair: byte-level byte-pair encoding, the tokenizer of GPT-2 and its descendants.
// Sennrich et al. (2016); Radford et al. (2019): bytes are written as printable characters, so that every text has
// tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/pre_tokenizer.h"
#include "text/string_table.h"
#include "text/vocabulary.h"

namespace retort::text {

/// Immutable and thread-safe; `vocabulary` and the file must outlive it.
class BytePair {
 public:
  static base::Result<std::unique_ptr<BytePair>> load(const formats::GgufFile& file, const Vocabulary& vocabulary);

  /// Appends the ids of `text` (bytes that are not UTF-8 count as U+FFFD).
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

  /// The bytes that a piece stands for.
  static std::string decode(std::string_view piece);

  const PreTokenizer& pre_tokenizer() const { return pre_tokenizer_; }

 private:
  BytePair(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer)
      : vocabulary_(vocabulary), pre_tokenizer_(std::move(pre_tokenizer)) {}

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  std::vector<std::string_view> merges_;  // "left right", by rank
  StringTable ranks_;
};

}  // namespace retort::text
