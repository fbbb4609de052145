// SentencePiece: merging by score, the tokenizer of Llama 1/2, Mistral and Gemma.
// Kudo & Richardson (2018). Spaces are written as U+2581; what has no token becomes tokens of single bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace retort::text {

/// Immutable and thread-safe; `vocabulary` must outlive it.
class SentencePiece {
 public:
  explicit SentencePiece(const Vocabulary& vocabulary);

  /// Appends the ids of `text`, in which spaces are still spaces.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

  /// The bytes that a normal or byte token's piece stands for.
  static std::string decode(std::string_view piece, bool is_byte);

 private:
  const Vocabulary& vocabulary_;
  int32_t bytes_[256];  // the token of each byte, or -1
};

}  // namespace retort::text
