#include "text/sentence_piece.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "text/utf8.h"

namespace retort::text {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

struct Symbol {
  uint32_t begin, length;  // length 0: merged into another
  int32_t previous, next;
};

struct Candidate {
  float score;
  int32_t left, right;
  uint32_t length;
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

}  // namespace

SentencePiece::SentencePiece(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
    char raw = static_cast<char>(byte);
    if (bytes_[byte] < 0) bytes_[byte] = vocabulary.find(std::string_view(&raw, 1));
    if (bytes_[byte] < 0) bytes_[byte] = vocabulary.unknown.value_or(-1);
  }
}

void SentencePiece::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::string word;
  word.reserve(text.size());
  for (char c : text)
    if (c == ' ')
      word += kSpace;
    else
      word += c;

  std::vector<Symbol> symbols;
  for (size_t at = 0; at < word.size();) {
    size_t length =
        std::min(word.size() - at, static_cast<size_t>(claimed_length(static_cast<unsigned char>(word[at]))));
    auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1});
    at += length;
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  auto text_of = [&](const Symbol& s) { return std::string_view(word).substr(s.begin, s.length); };
  std::priority_queue<Candidate> queue;
  auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    uint32_t length = a.length + symbols[static_cast<size_t>(right)].length;
    int32_t id = vocabulary_.find(std::string_view(word).substr(a.begin, length));
    if (id >= 0) queue.push({vocabulary_.score(id), left, right, length});
  };
  for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) consider(i - 1, i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    Symbol& right = symbols[static_cast<size_t>(best.right)];
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length) continue;
    left.length = best.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.length == 0) continue;
    std::string_view piece = text_of(symbol);
    int32_t id = vocabulary_.find(piece);
    if (id >= 0) {
      ids.push_back(id);
      continue;
    }
    for (char c : piece)
      if (int32_t byte = bytes_[static_cast<unsigned char>(c)]; byte >= 0) ids.push_back(byte);
  }
}

std::string SentencePiece::decode(std::string_view piece, bool is_byte) {
  if (is_byte) {
    auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
    if (piece.size() == 6 && piece.starts_with("<0x") && digit(piece[3]) >= 0 && digit(piece[4]) >= 0)
      return std::string(1, static_cast<char>(digit(piece[3]) * 16 + digit(piece[4])));
    return std::string(piece);
  }
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    if (piece.substr(at).starts_with(kSpace)) {
      bytes += ' ';
      at += kSpace.size();
    } else {
      bytes += piece[at++];
    }
  }
  return bytes;
}

}  // namespace retort::text
