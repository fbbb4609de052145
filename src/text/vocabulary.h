// Vocabulary: the tokens of a model, their kinds and scores, as its GGUF file states them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/string_table.h"

namespace retort::text {

/// What a token is for, with the ids of tokenizer.ggml.token_type.
enum class TokenKind : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// Immutable once loaded; views into the model file, which must outlive it.
class Vocabulary {
 public:
  static base::Result<std::unique_ptr<Vocabulary>> load(const formats::GgufFile& file);

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  /// The token as the file writes it: bytes in GPT-2's printable form for byte-level BPE, U+2581 for spaces in
  /// SentencePiece.
  std::string_view piece(int32_t id) const { return pieces_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  float score(int32_t id) const;
  /// The id of a piece, or -1.
  int32_t find(std::string_view piece) const { return table_.find(piece); }

  /// Control tokens steer the model (<|im_end|>, <bos>) and are not part of the text.
  bool is_control(int32_t id) const { return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown; }
  /// Whether generation stops at this token.
  bool ends_generation(int32_t id) const;
  /// Tokens that are found in the text before it is tokenized: control, unknown and user-defined ones, longest first.
  const std::vector<int32_t>& specials() const { return specials_; }

  std::optional<int32_t> bos, eos, unknown;

 private:
  Vocabulary() = default;
  void classify();

  std::vector<std::string_view> pieces_;
  std::vector<TokenKind> kinds_;
  const formats::GgufArray* scores_ = nullptr;
  StringTable table_;
  std::vector<int32_t> specials_, ends_;
};

}  // namespace retort::text
