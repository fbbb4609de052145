// Any bytes as text: byte-level BPE and SentencePiece give ids of the vocabulary, and the text comes back.
#include <cstdlib>
#include <memory>
#include <string>

#include "text/tokenizer.h"
#include "text/utf8.h"

using namespace retort;

namespace {

struct Loaded {
  std::unique_ptr<formats::GgufFile> file;
  std::unique_ptr<text::Tokenizer> tokenizer;
};

Loaded load(const char* name) {
  auto file = formats::GgufFile::open(std::string(RETORT_MODELS) + "/" + name);
  if (!file) std::abort();
  Loaded loaded{std::make_unique<formats::GgufFile>(std::move(*file)), nullptr};
  auto tokenizer = text::Tokenizer::load(*loaded.file);
  if (!tokenizer) std::abort();
  loaded.tokenizer = std::move(*tokenizer);
  return loaded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Loaded kinds[] = {load("llama.gguf"), load("qwen2.gguf"), load("gemma3.gguf")};
  std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const Loaded& kind : kinds) {
    text::EncodeOptions options;
    options.parse_special = size % 2 == 0;
    std::vector<int32_t> ids = kind.tokenizer->encode(input, options);
    text::StreamingDecoder decoder(*kind.tokenizer);
    for (int32_t id : ids) {
      if (id < 0 || id >= kind.tokenizer->vocabulary().size()) std::abort();
      std::string piece = decoder.push(id);
      if (text::repair_utf8(piece) != piece) std::abort();
    }
    decoder.finish();
  }
  return 0;
}
