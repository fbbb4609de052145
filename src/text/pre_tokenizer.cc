#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pre_tokenizer.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/check.h"
#include "text/character_classes.h"

namespace retort::text {
namespace {

// The expressions are those of the models' own tokenizer.json files, as llama.cpp's llama-vocab.cpp collects them.
#define RETORT_CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define RETORT_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr const char* kGpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
constexpr const char* kLlama3 =
    RETORT_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" RETORT_SPACES;
constexpr const char* kQwen2 =
    RETORT_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" RETORT_SPACES;
constexpr const char* kQwen35 = RETORT_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" RETORT_SPACES;
constexpr const char* kDeepseek3 =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\\r\\n]*|" RETORT_SPACES;
constexpr const char* kCjk = "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+";
// Letters in the order "not lower case, then not upper case" are the words of CamelCase. llama.cpp writes these two
// without the classes of letters and of marks, and so cuts words at marks, which the models' own tokenizers do not.
#define RETORT_NOT_LOWER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define RETORT_NOT_UPPER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
constexpr const char* kUpperLower = "[^\\r\\n\\p{L}\\p{N}]?" RETORT_NOT_LOWER "*" RETORT_NOT_UPPER "+";
constexpr const char* kUpper = "[^\\r\\n\\p{L}\\p{N}]?" RETORT_NOT_LOWER "+" RETORT_NOT_UPPER "*";
const std::string kTekken =
    fmt::format("{}|{}|\\p{{N}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|" RETORT_SPACES, kUpperLower, kUpper);
const std::string kGpt4o = fmt::format("{}" RETORT_CONTRACTIONS "?|{}" RETORT_CONTRACTIONS
                                       "?|\\p{{N}}{{1,3}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|" RETORT_SPACES,
                                       kUpperLower, kUpper);
constexpr const char* kBloom = " ?[^(\\s|.,!?…。，、।۔،)]+";
constexpr const char* kBailing =
    "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
constexpr const char* kSeedCoder =
    RETORT_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" RETORT_SPACES;

struct Rules {
  std::vector<std::string> patterns;
  bool ignores_merges = false, adds_bos = false;
};

const std::map<std::string_view, Rules>& all_rules() {
  static const std::map<std::string_view, Rules> rules = [] {
    std::map<std::string_view, Rules> all;
    auto add = [&](std::initializer_list<std::string_view> names, const Rules& r) {
      for (std::string_view name : names) all.emplace(name, r);
    };
    add({"default"}, {{"[\\p{P}\\$\\+<=>\\^~\\|]+", kGpt2, "\\p{N}+", "[0-9][0-9][0-9]"}});
    add({"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
         "modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling", "jina-v1-en", "jina-v2-code",
         "roberta-bpe", "exaone4"},
        {{kGpt2}});
    add({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"},
        {{"\\p{N}", kGpt2}});
    add({"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
        {{kLlama3}, true, true});
    add({"dbrx", "smaug-bpe", "chatglm-bpe"}, {{kLlama3}});
    add({"glm4", "glm5"}, {{kLlama3}, true});
    add({"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan", "solar-open", "megrez", "grok-2"},
        {{kQwen2}});
    add({"qwen35"}, {{kQwen35}});
    add({"deepseek-coder"}, {{"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
                              "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}"}});
    add({"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}, {{"\\p{N}{1,3}", kCjk, kDeepseek3}});
    add({"falcon"}, {{"[\\p{P}\\$\\+<=>\\^~\\|`]+", kGpt2, "[0-9][0-9][0-9]"}});
    add({"tekken"}, {{kTekken}, true, true});
    add({"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {{kGpt4o}});
    add({"bloom", "gpt3-finnish", "poro-chat"}, {{kBloom}});
    add({"viking"}, {{kBloom, "\\p{N}"}});
    add({"bailingmoe", "bailingmoe2", "llada-moe"}, {{kBailing}});
    add({"seed-coder"}, {{kSeedCoder}});
    add({"superbpe"}, {{"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}});
    add({"minicpm5"}, {{"\\p{N}{1,3}", RETORT_CONTRACTIONS
                        "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" RETORT_SPACES},
                       true});
    return all;
  }();
  return rules;
}

}  // namespace

struct PreTokenizer::Pattern {
  pcre2_code* code = nullptr;
  ~Pattern() { pcre2_code_free(code); }
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

base::Result<PreTokenizer> PreTokenizer::named(std::string_view name) {
  const auto& rules = all_rules();
  auto found = rules.find(name.empty() ? "default" : name);
  if (found == rules.end()) {
    std::string known;
    for (const auto& entry : rules) {
      known += known.empty() ? "" : ", ";
      known += entry.first;
    }
    return base::fail(fmt::format("metadata tokenizer.ggml.pre is \"{}\", known are {}", name, known));
  }
  PreTokenizer tokenizer;
  tokenizer.ignores_merges_ = found->second.ignores_merges;
  tokenizer.adds_bos_ = found->second.adds_bos;
  for (const std::string& expression : found->second.patterns) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    auto pattern = std::make_unique<Pattern>();
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &offset, nullptr);
    RETORT_CHECK(pattern->code != nullptr);
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter serves
    tokenizer.patterns_.push_back(std::move(pattern));
  }
  return tokenizer;
}

void PreTokenizer::split(std::string_view text, std::vector<std::string_view>& words) const {
  std::string copy;
  const std::string_view subject = with_known_classes(text, copy);
  std::vector<std::string_view> pieces = {subject}, next;
  for (const std::unique_ptr<Pattern>& pattern : patterns_) {
    next.clear();
    pcre2_match_data* match = pcre2_match_data_create_from_pattern(pattern->code, nullptr);
    RETORT_CHECK(match != nullptr);
    for (std::string_view piece : pieces) {
      size_t start = 0, from = 0;  // start of what has not become a piece yet; where to look next
      while (from < piece.size()) {
        int found = pcre2_match(pattern->code, reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(), from,
                                PCRE2_NO_UTF_CHECK, match, nullptr);
        if (found < 0) break;  // no match; or a limit was met, and the rest stays one piece
        const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match);
        if (ends[0] > start) next.push_back(piece.substr(start, ends[0] - start));
        if (ends[1] > ends[0]) next.push_back(piece.substr(ends[0], ends[1] - ends[0]));
        start = ends[1];
        from = ends[1];
        if (ends[1] == ends[0]) {  // an empty match only cuts: step over one character
          do ++from;
          while (from < piece.size() && (static_cast<unsigned char>(piece[from]) & 0xc0) == 0x80);
        }
      }
      if (start < piece.size()) next.push_back(piece.substr(start));
    }
    pcre2_match_data_free(match);
    std::swap(pieces, next);
  }
  for (std::string_view piece : pieces)
    if (!piece.empty()) words.push_back(text.substr(static_cast<size_t>(piece.data() - subject.data()), piece.size()));
}

}  // namespace retort::text
