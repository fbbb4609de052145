#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/model_path.h"
#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "text/utf8.h"

namespace retort::cli {
namespace {

struct Options {
  std::string model;
  int64_t context = 4096;
  bool json = false;
};

nlohmann::json to_json(const formats::GgufValue& value) {
  return std::visit(
      [](const auto& v) -> nlohmann::json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          return text::repair_utf8(v);
        } else if constexpr (std::is_same_v<T, formats::GgufArray>) {
          constexpr uint64_t kShown = 8;
          nlohmann::json items = nlohmann::json::array();
          if (v.element_type() == formats::GgufType::kString) {
            auto strings = v.strings();
            for (uint64_t i = 0; i < v.size() && i < kShown; ++i) items.push_back(text::repair_utf8(strings[i]));
          } else {
            bool real =
                v.element_type() == formats::GgufType::kFloat32 || v.element_type() == formats::GgufType::kFloat64;
            for (uint64_t i = 0; i < v.size() && i < kShown; ++i)
              items.push_back(real ? nlohmann::json(v.number(i)) : nlohmann::json(v.integer(i)));
          }
          if (v.size() <= kShown) return items;
          return {{"length", v.size()}, {"first", items}};
        } else {
          return v;
        }
      },
      value.value);
}

/// Bytes of keys and values in fp16 at `context` positions; 0 when the file does not say enough.
int64_t kv_bytes(const formats::GgufFile& file, const std::string& architecture, int64_t context) {
  auto number = [&](const char* key) -> int64_t {
    auto value = file.integer(architecture + "." + key);
    return value && *value ? **value : 0;
  };
  int64_t heads = number("attention.head_count"), kv_heads = number("attention.head_count_kv");
  if (kv_heads == 0) kv_heads = heads;
  int64_t head_dim = number("attention.key_length");
  if (head_dim == 0 && heads > 0) head_dim = number("embedding_length") / heads;
  double bytes = 2.0 * 2 * static_cast<double>(number("block_count")) * static_cast<double>(kv_heads) *
                 static_cast<double>(head_dim) * static_cast<double>(context);
  return bytes > 0 && bytes < 9e18 ? static_cast<int64_t>(bytes) : 0;
}

std::string shape_of(const formats::GgufTensor& tensor) {
  std::string shape = "(";
  for (int i = tensor.num_dims - 1; i >= 0; --i) shape += fmt::format("{}{}", tensor.dims[i], i > 0 ? ", " : ")");
  return shape;
}

base::Result<int> run(const Options& options) {
  RETORT_TRY(std::string path, resolve_model(options.model));
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  RETORT_TRY(auto architecture, file.string("general.architecture"));
  std::string name(architecture.value_or("unknown"));
  int64_t parameters = 0, embedding = 0, weight_bytes = 0;
  nlohmann::json tensors = nlohmann::json::array();
  for (const formats::GgufTensor& tensor : file.tensors()) {
    parameters += tensor.num_elements();
    weight_bytes += tensor::row_bytes(tensor.dtype, tensor.num_elements());
    if (tensor.name == "token_embd.weight") embedding = tensor.num_elements();
    std::vector<int64_t> dims(tensor.dims, tensor.dims + tensor.num_dims);
    tensors.push_back({{"name", text::repair_utf8(tensor.name)},
                       {"type", std::string(tensor::info(tensor.dtype).name)},
                       {"dims", dims},
                       {"bytes", tensor::row_bytes(tensor.dtype, tensor.num_elements())}});
  }
  int64_t cache = kv_bytes(file, name, options.context);
  if (options.json) {
    nlohmann::json metadata = nlohmann::json::object();
    for (const formats::GgufMetadataEntry& entry : file.metadata())
      metadata[text::repair_utf8(entry.key)] = to_json(entry.value);
    fmt::print("{}\n",
               nlohmann::json(
                   {{"architecture", name},
                    {"parameters", parameters},
                    {"embedding_parameters", embedding},
                    {"file_bytes", file.file_bytes()},
                    {"weight_bytes", weight_bytes},
                    {"gguf_version", file.version()},
                    {"memory",
                     {{"context", options.context}, {"kv_cache_bytes", cache}, {"total_bytes", weight_bytes + cache}}},
                    {"tensors", tensors},
                    {"metadata", metadata}})
                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return kDone;
  }
  constexpr double kMiB = 1 << 20;
  fmt::print("{}\n  architecture  {}\n  parameters    {:.1f} million, {:.1f} million of them in the embedding table\n",
             path, name, static_cast<double>(parameters) / 1e6, static_cast<double>(embedding) / 1e6);
  if (parameters > 0)
    fmt::print("  weights       {:.1f} MiB, {:.2f} bits each\n", static_cast<double>(weight_bytes) / kMiB,
               8.0 * static_cast<double>(weight_bytes) / static_cast<double>(parameters));
  fmt::print("  memory        {:.1f} MiB with a context of {} (fp16 keys and values: {:.1f} MiB)\n\nmetadata\n",
             static_cast<double>(weight_bytes + cache) / kMiB, options.context, static_cast<double>(cache) / kMiB);
  for (const formats::GgufMetadataEntry& entry : file.metadata()) {
    std::string value = to_json(entry.value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (value.size() > 100)
      value = value.substr(0, 100 - text::incomplete_tail(std::string_view(value).substr(0, 100))) + "...";
    fmt::print("  {:<44} {}\n", text::repair_utf8(entry.key), value);
  }
  fmt::print("\ntensors\n");
  for (const formats::GgufTensor& tensor : file.tensors())
    fmt::print("  {:<32} {:<7} {}\n", text::repair_utf8(tensor.name), tensor::info(tensor.dtype).name,
               shape_of(tensor));
  return kDone;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Show what is in a model file");
  command->add_option("model", options->model, "GGUF file or catalogue name")->required();
  command->add_option("--context", options->context, "Positions to compute the memory for")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 32))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one object with metadata and tensors");
  command->footer(
      "Examples:\n"
      "  retort inspect smollm2-135m\n"
      "  retort inspect model.gguf --json | jq .metadata");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
