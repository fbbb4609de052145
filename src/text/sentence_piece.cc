#include "text/sentence_piece.h"

#include <fmt/format.h>

#include <optional>

#include "text/pair_merger.h"

namespace retort::text {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

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

  PairMerger<float> merger;
  merger.merge(word, [&](std::string_view left, std::string_view right) {
    int32_t id = vocabulary_.find({left.data(), left.size() + right.size()});
    return id >= 0 ? std::optional(-vocabulary_.score(id)) : std::nullopt;
  });
  merger.for_each_piece(word, [&](std::string_view piece) {
    int32_t id = vocabulary_.find(piece);
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
    for (char c : piece)
      if (int32_t byte = bytes_[static_cast<unsigned char>(c)]; byte >= 0) ids.push_back(byte);
  });
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
