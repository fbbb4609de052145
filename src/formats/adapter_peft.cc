// Adapters as PEFT's folders: adapter_config.json and adapter_model.safetensors, with Hugging Face's names and order of
// rows; the identity of the base in the metadata of the latter.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/atomic_file.h"
#include "base/check.h"
#include "formats/adapter.h"
#include "formats/adapter_files.h"
#include "formats/safetensors.h"

namespace retort::formats {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kWeights = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.", kA = ".lora_A.weight", kB = ".lora_B.weight";
constexpr std::string_view kArchitectures[] = {"llama", "qwen2", "qwen3", "gemma3"};

struct Projection {
  std::string_view gguf, peft;
};
constexpr Projection kProjections[] = {{"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
                                       {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
                                       {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},
                                       {"ffn_down", "mlp.down_proj"}};

/// "PREFIX12.attn_q" as 12 and "attn_q"; nothing when it is not of that form.
std::optional<std::pair<int, std::string_view>> split_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  int layer = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  size_t digits = static_cast<size_t>(end - name.data());
  bool canonical = error == std::errc() && layer >= 0 && std::to_string(layer) == name.substr(0, digits);
  if (!canonical || digits == name.size() || name[digits] != '.') return std::nullopt;
  return std::pair(layer, name.substr(digits + 1));
}

/// "model.layers.0.self_attn.q_proj" for "blk.0.attn_q"; nothing when not known.
std::optional<std::string> peft_name(std::string_view target) {
  if (target == "output") return "lm_head";
  auto split = split_layer(target, "blk.");
  if (!split) return std::nullopt;
  for (const Projection& p : kProjections)
    if (p.gguf == split->second) return fmt::format("model.layers.{}.{}", split->first, p.peft);
  return std::nullopt;
}

/// The inverse.
std::optional<std::string> gguf_name(std::string_view module) {
  if (module == "lm_head") return "output";
  auto split = split_layer(module, "model.layers.");
  if (!split) return std::nullopt;
  for (const Projection& p : kProjections)
    if (p.peft == split->second) return fmt::format("blk.{}.{}", split->first, p.gguf);
  return std::nullopt;
}

/// The number after "name=" in a shape, 0 when it is not there.
int64_t shape_number(const std::string& shape, const std::string& name) {
  int64_t number = 0;
  size_t at = (" " + shape).find(" " + name + "=");
  if (at == std::string::npos) return 0;
  const char* begin = shape.data() + at + name.size() + 1;
  std::from_chars(begin, shape.data() + shape.size(), number);
  return number;
}

enum class Direction : uint8_t { kToGguf, kToPeft };

/// Reorders the rows of b, (out, rank), between a Hugging Face model, where element i of a head rotates with element
/// i + head_dim / 2, and a GGUF file of architecture llama, where neighbours rotate together.
std::vector<float> reorder_heads(const std::vector<float>& b, int64_t rank, int64_t head_dim, Direction direction) {
  std::vector<float> out(b.size());
  const int64_t rows = static_cast<int64_t>(b.size()) / rank, half = head_dim / 2;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t element = row % head_dim, paired = row - element + element % half * 2 + element / half;
    int64_t from = direction == Direction::kToGguf ? row : paired, to = direction == Direction::kToGguf ? paired : row;
    std::copy_n(b.begin() + from * rank, rank, out.begin() + to * rank);
  }
  return out;
}

/// Elements of a head when the rows of this target are in another order in the two forms, otherwise 0.
base::Result<int64_t> reordered_head_dim(const BaseIdentity& base, const AdapterFactors& factors,
                                         const std::string& path) {
  bool rotated = factors.target.ends_with(".attn_q") || factors.target.ends_with(".attn_k");
  if (base.architecture != "llama" || !rotated) return 0;
  int64_t head_dim = shape_number(base.shape, "head_dim");
  if (head_dim < 2 || head_dim % 2 != 0 || factors.out_features % head_dim != 0)
    return base::fail(
        fmt::format("{}: {} has {} rows and the base's shape is \"{}\", expected whole heads of an even "
                    "head_dim: name the model that the adapter is for",
                    path, factors.target, factors.out_features, base.shape));
  return head_dim;
}

base::Status check_architecture(const std::string& architecture, const std::string& path) {
  if (std::find(std::begin(kArchitectures), std::end(kArchitectures), architecture) != std::end(kArchitectures))
    return {};
  return base::fail(fmt::format("{}: the names of PEFT are not known for architecture \"{}\", known are {}", path,
                                architecture, fmt::join(kArchitectures, ", ")));
}

struct Config {
  double alpha = 0;
  int64_t rank = 0;
  bool rank_varies = false, root_scaling = false;
};

base::Result<Config> read_config(const std::string& path) {
  constexpr std::streamsize kMaxBytes = 4 << 20;
  std::ifstream in(path, std::ios::binary);
  if (!in) return base::fail(fmt::format("{}: cannot open; a PEFT folder has it", path));
  std::string text(kMaxBytes, '\0');
  in.read(text.data(), kMaxBytes);
  text.resize(static_cast<size_t>(in.gcount()));
  json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return base::fail(fmt::format("{}: is not a JSON object", path));
  auto refuse = [&](const char* key, const std::string& expected) {
    std::string shown =
        config.contains(key) ? config[key].dump(-1, ' ', true, json::error_handler_t::replace) : "missing";
    return base::fail(fmt::format("{}: {} is {}, expected {}", path, key, shown, expected));
  };
  if (config.value("peft_type", json()) != "LORA") return refuse("peft_type", "\"LORA\"");
  for (const char* key : {"use_dora", "fan_in_fan_out", "lora_bias", "alpha_pattern", "modules_to_save",
                          "layer_replication", "trainable_token_indices", "alora_invocation_tokens"}) {
    json value = config.value(key, json());
    if (!value.is_null() && value != false && !(value.is_structured() && value.empty()))
      return refuse(key, "none: it is not supported");
  }
  if (config.value("bias", json("none")) != "none") return refuse("bias", "\"none\"");
  json rank = config.value("r", json()), alpha = config.value("lora_alpha", json());
  if (!rank.is_number_unsigned() || rank.get<uint64_t>() < 1 || rank.get<uint64_t>() > 1 << 20)
    return refuse("r", "a positive integer");
  if (!alpha.is_number()) return refuse("lora_alpha", "a number");
  json pattern = config.value("rank_pattern", json());
  return Config{alpha.get<double>(), rank.get<int64_t>(), pattern.is_structured() && !pattern.empty(),
                config.value("use_rslora", json(false)) == true};
}

/// What the weights' metadata says about the base, or what is known from `base`.
base::Result<BaseIdentity> read_identity(const SafetensorsMetadata& metadata, const BaseIdentity* base,
                                         const std::string& path) {
  auto text = [&](const char* key) {
    auto found = metadata.find(key);
    return found == metadata.end() ? "" : found->second;
  };
  BaseIdentity identity{text("retort.base.architecture"), text("retort.base.shape"),
                        text("retort.base.tokenizer_sha256"), text("retort.base.template_sha256")};
  if (!identity.architecture.empty()) return identity;
  if (base == nullptr)
    return base::fail(fmt::format("{}: does not say which architecture it is for: name the model", path));
  return BaseIdentity{base->architecture, "", "", ""};
}

base::Result<AdapterFactors> read_factors(const SafetensorsFile& file, const SafetensorsTensor& a, const Config& config,
                                          const std::string& path) {
  std::string stem = a.name.substr(0, a.name.size() - kA.size());
  std::string_view module = stem;
  if (module.starts_with(kPrefix)) module.remove_prefix(kPrefix.size());
  auto target = gguf_name(module);
  if (!target || module.size() == stem.size())
    return base::fail(
        fmt::format("{}: tensor {} is not of a known module, expected e.g. "
                    "base_model.model.model.layers.0.self_attn.q_proj{}",
                    path, a.name, kA));
  const SafetensorsTensor* b = file.find(stem + std::string(kB));
  if (b == nullptr) return base::fail(fmt::format("{}: has {} but no {}{}", path, a.name, stem, kB));
  bool matrices = a.shape.size() == 2 && b->shape.size() == 2 && a.num_elements() > 0 && b->num_elements() > 0;
  if (!matrices || a.shape[0] != b->shape[1])
    return base::fail(fmt::format("{}: {} is ({}) and {} is ({}), expected (rank, in) and (out, rank)", path, a.name,
                                  fmt::join(a.shape, ", "), b->name, fmt::join(b->shape, ", ")));
  AdapterFactors factors{*target, a.shape[1], b->shape[0], a.shape[0], a.floats(), b->floats()};
  if (factors.rank != config.rank && !config.rank_varies)
    return base::fail(
        fmt::format("{}: {} has rank {}, {} says r is {}", path, a.name, factors.rank, kConfig, config.rank));
  // Rank-stabilized LoRA scales by alpha / sqrt(rank); ours is alpha / rank.
  if (config.root_scaling)
    for (float& value : factors.b) value *= std::sqrt(static_cast<float>(factors.rank));
  return factors;
}

/// Short names where every layer has the same projections, otherwise one full name for each.
std::vector<std::string> target_modules(const Adapter& adapter) {
  std::set<std::string> projections, in_layers, all;
  for (const AdapterFactors& factors : adapter.factors) {
    std::string name = *peft_name(factors.target);
    all.insert(name);
    if (!split_layer(factors.target, "blk.")) {
      projections.insert(name);
    } else if (in_layers.insert(name).second) {
      projections.insert(name.substr(name.rfind('.') + 1));
    }
  }
  const size_t outside = all.size() - in_layers.size();
  auto layers = static_cast<size_t>(shape_number(adapter.base.shape, "layers"));
  const auto& names = in_layers.size() == layers * (projections.size() - outside) ? projections : all;
  return {names.begin(), names.end()};
}

nlohmann::ordered_json make_config(const Adapter& adapter, const PeftInfo& info) {
  const int64_t rank = adapter.factors.front().rank;
  json ranks = json::object();
  for (const AdapterFactors& factors : adapter.factors)
    if (factors.rank != rank) ranks[*peft_name(factors.target)] = factors.rank;
  const bool integral = adapter.alpha == std::floor(adapter.alpha) && adapter.alpha < 1e9f;
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", info.base_model.empty() ? json() : json(info.base_model)},
          {"r", rank},
          {"lora_alpha", integral ? json(static_cast<int64_t>(adapter.alpha)) : json(adapter.alpha)},
          {"lora_dropout", 0.0},
          {"target_modules", target_modules(adapter)},
          {"rank_pattern", ranks},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"use_rslora", false},
          {"use_dora", false},
          {"inference_mode", true}};
}

}  // namespace

base::Result<Adapter> read_adapter_peft(const fs::path& folder, const BaseIdentity* base) {
  const std::string path = (folder / kWeights).string();
  RETORT_TRY(Config config, read_config((folder / kConfig).string()));
  RETORT_TRY(SafetensorsFile file, SafetensorsFile::open(path));
  Adapter adapter;
  RETORT_TRY(adapter.base, read_identity(file.metadata(), base, path));
  RETORT_TRY_STATUS(check_architecture(adapter.base.architecture, path));
  auto name = file.metadata().find("retort.name");
  adapter.name = name == file.metadata().end() ? folder.filename().string() : name->second;
  adapter.alpha = static_cast<float>(config.alpha);
  const BaseIdentity& shaped = adapter.base.shape.empty() && base != nullptr ? *base : adapter.base;
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (tensor.name.ends_with(kA)) {
      RETORT_TRY(AdapterFactors factors, read_factors(file, tensor, config, path));
      RETORT_TRY(int64_t head_dim, reordered_head_dim(shaped, factors, path));
      if (head_dim > 0) factors.b = reorder_heads(factors.b, factors.rank, head_dim, Direction::kToGguf);
      adapter.factors.push_back(std::move(factors));
    } else if (!tensor.name.ends_with(kB)) {
      return base::fail(
          fmt::format("{}: tensor {} is no factor, expected names that end in {} or {}", path, tensor.name, kA, kB));
    } else if (std::string a = tensor.name.substr(0, tensor.name.size() - kB.size()); !file.find(a.append(kA))) {
      return base::fail(fmt::format("{}: has {} but no {}", path, tensor.name, a));
    }
  }
  RETORT_TRY_STATUS(check_values(adapter, path));
  return adapter;
}

base::Status write_adapter_peft(const Adapter& adapter, const fs::path& folder, const PeftInfo& info) {
  check_writable(adapter);
  RETORT_TRY_STATUS(check_architecture(adapter.base.architecture, folder.string()));
  std::vector<std::vector<float>> reordered;
  reordered.reserve(adapter.factors.size());
  std::vector<SafetensorsTensor> tensors;
  for (const AdapterFactors& factors : adapter.factors) {
    auto module = peft_name(factors.target);
    if (!module)
      return base::fail(fmt::format("{}: the name of {} in PEFT is not known", folder.string(), factors.target));
    RETORT_TRY(int64_t head_dim, reordered_head_dim(adapter.base, factors, folder.string()));
    const std::vector<float>* b = &factors.b;
    if (head_dim > 0) b = &reordered.emplace_back(reorder_heads(factors.b, factors.rank, head_dim, Direction::kToPeft));
    auto add = [&](std::string_view suffix, int64_t rows, int64_t cols, const std::vector<float>& values) {
      tensors.push_back({fmt::format("{}{}{}", kPrefix, *module, suffix),
                         tensor::DType::kF32,
                         {rows, cols},
                         std::as_bytes(std::span(values))});
    };
    add(kA, factors.rank, factors.in_features, factors.a);
    add(kB, factors.out_features, factors.rank, *b);
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::fail(fmt::format("{}: cannot make the folder: {}", folder.string(), error.message()));
  SafetensorsMetadata metadata = {{"format", "pt"},
                                  {"retort.name", adapter.name},
                                  {"retort.base.architecture", adapter.base.architecture},
                                  {"retort.base.shape", adapter.base.shape},
                                  {"retort.base.tokenizer_sha256", adapter.base.tokenizer_hash},
                                  {"retort.base.template_sha256", adapter.base.template_hash}};
  RETORT_TRY_STATUS(write_safetensors((folder / kWeights).string(), tensors, metadata));
  RETORT_TRY(base::AtomicFile config, base::AtomicFile::create((folder / kConfig).string()));
  RETORT_TRY_STATUS(
      config.write(make_config(adapter, info).dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
  return config.commit();
}

}  // namespace retort::formats
