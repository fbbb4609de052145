// ByteTokenizer: for tests: a model file in memory that has nothing but a tokenizer of single bytes, some merges, and a
// chat template.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace retort::training::testing {

/// Ids 0 to 255 are bytes, then come <|start|>, <|end|> (end of sequence) and <|bos|>, then the merges.
class ByteTokenizer {
 public:
  static constexpr int32_t kStart = 256, kEnd = 257, kBos = 258;

  /// `merges` as tokenizer files have them: "a b". An empty template: a base model.
  explicit ByteTokenizer(const std::string& chat_template, const std::vector<std::string>& merges = {},
                         bool adds_bos = false) {
    std::vector<std::string> pieces;
    uint32_t other = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      pieces.emplace_back();
      text::append_utf8(pieces.back(), printable ? byte : other++);
    }
    pieces.insert(pieces.end(), {"<|start|>", "<|end|>", "<|bos|>"});
    std::vector<int32_t> kinds(256, 1);
    kinds.insert(kinds.end(), 3, 3);
    for (const std::string& merge : merges) {
      pieces.push_back(merge.substr(0, merge.find(' ')) + merge.substr(merge.find(' ') + 1));
      kinds.push_back(1);
    }
    put<uint32_t>(0x46554747);
    put<uint32_t>(3);
    put<uint64_t>(0);
    put<uint64_t>(chat_template.empty() ? 9 : 10);
    text_entry("general.architecture", "llama");
    text_entry("tokenizer.ggml.model", "gpt2");
    text_entry("tokenizer.ggml.pre", "gpt-2");
    texts("tokenizer.ggml.tokens", pieces);
    key("tokenizer.ggml.token_type", 9);
    put<uint32_t>(5);
    put<uint64_t>(kinds.size());
    for (int32_t kind : kinds) put(kind);
    texts("tokenizer.ggml.merges", merges);
    key("tokenizer.ggml.eos_token_id", 4);
    put<uint32_t>(kEnd);
    key("tokenizer.ggml.bos_token_id", 4);
    put<uint32_t>(kBos);
    key("tokenizer.ggml.add_bos_token", 7);
    put<uint8_t>(adds_bos ? 1 : 0);
    if (!chat_template.empty()) text_entry("tokenizer.chat_template", chat_template);
    file_ = std::make_unique<formats::GgufFile>(
        formats::GgufFile::parse(std::as_bytes(std::span(bytes_)), "bytes.gguf").value());
    tokenizer_ = text::Tokenizer::load(*file_).value();
  }

  const formats::GgufFile& file() const { return *file_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    put<uint64_t>(value.size());
    bytes_ += value;
  }
  void key(const std::string& name, uint32_t type) {
    text(name);
    put(type);
  }
  void text_entry(const std::string& name, const std::string& value) {
    key(name, 8);
    text(value);
  }
  void texts(const std::string& name, const std::vector<std::string>& values) {
    key(name, 9);
    put<uint32_t>(8);
    put<uint64_t>(values.size());
    for (const std::string& value : values) text(value);
  }

  std::string bytes_;
  std::unique_ptr<formats::GgufFile> file_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

inline constexpr const char* kChatTemplate =
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

}  // namespace retort::training::testing
