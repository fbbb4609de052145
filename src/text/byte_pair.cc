#include "text/byte_pair.h"

#include <fmt/format.h>

#include <optional>

#include "text/pair_merger.h"
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
  std::string key;
  auto rank_of = [&](std::string_view left, std::string_view right) {
    key.assign(left);
    key += ' ';
    key += right;
    int32_t rank = ranks_.find(key);
    return rank >= 0 ? std::optional(rank) : std::nullopt;
  };
  PairMerger<int32_t> merger;
  std::string printable;
  for (std::string_view word : words) {
    printable.clear();
    for (char c : word) printable += byte_forms().form[static_cast<unsigned char>(c)];
    int32_t whole = pre_tokenizer_.ignores_merges() ? vocabulary_.find(printable) : -1;
    if (whole >= 0) {
      ids.push_back(whole);
      continue;
    }
    merger.merge(printable, rank_of);
    merger.for_each_piece(printable, [&](std::string_view piece) {
      int32_t id = vocabulary_.find(piece);
      if (id >= 0) {
        ids.push_back(id);
        return;
      }
      for (size_t i = 0; i < piece.size(); ++i)  // a vocabulary without this piece: its single bytes, where it has them
        if (int32_t byte = vocabulary_.find(piece.substr(i, 1)); byte >= 0) ids.push_back(byte);
    });
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
