#include "text/byte_pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "text/utf8.h"

namespace retort::text {
namespace {

/// GPT-2's printable form of every byte: itself where it is printable Latin-1, else U+0100 and up in order.
struct ByteForms {
  std::array<std::string, 256> form;
  std::array<int, 0x144> byte;  // of a code point, or -1
  ByteForms() {
    byte.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      uint32_t code = printable ? b : next++;
      append_utf8(form[b], code);
      byte[code] = static_cast<int>(b);
    }
  }
};

const ByteForms& byte_forms() {
  static const ByteForms forms;
  return forms;
}

}  // namespace

/// Merges the characters of one word. Kept for the length of a text to reuse its memory.
struct BytePair::Merger {
  struct Symbol {
    uint32_t begin, length;  // within the word; length 0: merged into another
    int32_t previous, next;
  };
  struct Candidate {
    int32_t rank, left, right;
    uint32_t length;  // of both together when it was found: tells whether it is out of date
    bool operator<(const Candidate& other) const {  // the queue's top is the largest: lowest rank, then leftmost
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  const BytePair& owner;
  std::string key;
  std::vector<Symbol> symbols;
  std::priority_queue<Candidate> queue;

  std::string_view text_of(std::string_view word, int32_t symbol) const {
    const Symbol& s = symbols[static_cast<size_t>(symbol)];
    return word.substr(s.begin, s.length);
  }

  void consider(std::string_view word, int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    std::string_view a = text_of(word, left), b = text_of(word, right);
    key.assign(a);
    key += ' ';
    key += b;
    int32_t rank = owner.ranks_.find(key);
    if (rank >= 0) queue.push({rank, left, right, static_cast<uint32_t>(a.size() + b.size())});
  }

  void merge(std::string_view word) {
    symbols.clear();
    for (size_t at = 0; at < word.size();) {
      size_t length =
          std::min(word.size() - at, static_cast<size_t>(claimed_length(static_cast<unsigned char>(word[at]))));
      auto index = static_cast<int32_t>(symbols.size());
      symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1});
      at += length;
    }
    symbols.back().next = -1;
    for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) consider(word, i - 1, i);
    while (!queue.empty()) {
      Candidate best = queue.top();
      queue.pop();
      Symbol& left = symbols[static_cast<size_t>(best.left)];
      Symbol& right = symbols[static_cast<size_t>(best.right)];
      if (left.length == 0 || right.length == 0 || left.length + right.length != best.length) continue;
      left.length += right.length;
      right.length = 0;
      left.next = right.next;
      if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = best.left;
      consider(word, left.previous, best.left);
      consider(word, best.left, left.next);
    }
  }
};

base::Result<std::unique_ptr<BytePair>> BytePair::load(const formats::GgufFile& file, const Vocabulary& vocabulary) {
  RETORT_TRY(std::optional<std::string_view> name, file.string("tokenizer.ggml.pre"));
  auto pre_tokenizer = PreTokenizer::named(name.value_or(""));
  if (!pre_tokenizer) return base::fail(fmt::format("{}: {}", file.path(), pre_tokenizer.error().message));
  RETORT_TRY(const formats::GgufArray* merges, file.array("tokenizer.ggml.merges"));
  if (merges == nullptr || merges->element_type() != formats::GgufType::kString)
    return base::fail(
        fmt::format("{}: metadata tokenizer.ggml.merges is missing or does not hold strings", file.path()));
  std::unique_ptr<BytePair> tokenizer(new BytePair(vocabulary, std::move(*pre_tokenizer)));
  tokenizer->merges_ = merges->strings();
  tokenizer->ranks_ = StringTable(tokenizer->merges_);
  return tokenizer;
}

void BytePair::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::string repaired = repair_utf8(text);
  std::vector<std::string_view> words;
  pre_tokenizer_.split(repaired, words);
  Merger merger{*this, {}, {}, {}};
  std::string printable;
  for (std::string_view word : words) {
    printable.clear();
    for (char c : word) printable += byte_forms().form[static_cast<unsigned char>(c)];
    int32_t whole = pre_tokenizer_.ignores_merges() ? vocabulary_.find(printable) : -1;
    if (whole >= 0) {
      ids.push_back(whole);
      continue;
    }
    merger.merge(printable);
    for (const Merger::Symbol& symbol : merger.symbols) {
      if (symbol.length == 0) continue;
      std::string_view piece = std::string_view(printable).substr(symbol.begin, symbol.length);
      int32_t id = vocabulary_.find(piece);
      if (id >= 0) {
        ids.push_back(id);
        continue;
      }
      for (size_t i = 0; i < piece.size(); ++i)  // a vocabulary without this piece: its single bytes, where it has them
        if (int32_t byte = vocabulary_.find(piece.substr(i, 1)); byte >= 0) ids.push_back(byte);
    }
  }
}

std::string BytePair::decode(std::string_view piece) {
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    Utf8Character c = decode_utf8(piece, at);
    int byte = c.length > 0 && c.code < byte_forms().byte.size() ? byte_forms().byte[c.code] : -1;
    auto length = static_cast<size_t>(c.length > 0 ? c.length : 1);
    if (byte >= 0)
      bytes += static_cast<char>(byte);
    else
      bytes.append(piece, at, length);  // not in the printable form: taken as it is
    at += length;
  }
  return bytes;
}

}  // namespace retort::text
