// PreTokenizer: splits text into the words that byte-level BPE never merges across.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort::text {

/// The splitting rules that tokenizer.ggml.pre names: regular expressions applied one after the other, each to the
/// pieces that the ones before it left; what an expression does not match stays a piece. Immutable and thread-safe.
class PreTokenizer {
 public:
  /// Fails for an unknown name, listing the known ones. An empty name means "default".
  static base::Result<PreTokenizer> named(std::string_view name);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  /// Appends the words of `text`, which must be valid UTF-8, in order; together they are the text.
  void split(std::string_view text, std::vector<std::string_view>& words) const;

  /// Whether a word that is a token is taken whole, even where merges would not build it.
  bool ignores_merges() const { return ignores_merges_; }
  /// Whether models with these rules start with a BOS unless their file says otherwise.
  bool adds_bos() const { return adds_bos_; }

 private:
  struct Pattern;
  PreTokenizer();
  std::vector<std::unique_ptr<Pattern>> patterns_;
  bool ignores_merges_ = false, adds_bos_ = false;
};

}  // namespace retort::text
