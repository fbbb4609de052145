// Adapters as llama.cpp's GGUF files: factors as blk.0.attn_q.weight.lora_a (rank, in) and .lora_b (out, rank); the
// identity of the base under keys of our own.
#include <fmt/format.h>

#include "base/check.h"
#include "formats/adapter.h"
#include "formats/adapter_files.h"
#include "formats/floats.h"
#include "formats/gguf_writer.h"

namespace retort::formats {
namespace {

constexpr std::string_view kA = ".weight.lora_a", kB = ".weight.lora_b";
constexpr const char* kShape = "retort.base.shape";
constexpr const char* kTokenizer = "retort.base.tokenizer_sha256";
constexpr const char* kTemplate = "retort.base.template_sha256";

base::Status expect(const GgufFile& file, const char* key, std::string_view expected) {
  RETORT_TRY(auto value, file.string(key));
  if (value && *value == expected) return {};
  return base::fail(fmt::format("{}: {} is {}, expected \"{}\": not a LoRA adapter", file.path(), key,
                                value ? fmt::format("\"{}\"", *value) : "missing", expected));
}

base::Result<std::string> text(const GgufFile& file, const char* key) {
  RETORT_TRY(auto value, file.string(key));
  return std::string(value.value_or(""));
}

base::Status check_factor(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.num_dims == 2 && has_floats(tensor.dtype)) return {};
  return base::fail(fmt::format("{}: tensor {} has {} dimensions and type {}, expected 2 and F32, F16, BF16 or Q8_0",
                                file.path(), tensor.name, tensor.num_dims, tensor::info(tensor.dtype).name));
}

/// The factors of which `a` is one.
base::Result<AdapterFactors> read_factors(const GgufFile& file, const GgufTensor& a) {
  AdapterFactors factors;
  factors.target = a.name.substr(0, a.name.size() - kA.size());
  if (factors.target == "token_embd")
    return base::fail(fmt::format("{}: changes the token embedding, which is not supported", file.path()));
  const GgufTensor* b = file.find_tensor(factors.target + std::string(kB));
  if (b == nullptr) return base::fail(fmt::format("{}: has {} but no {}{}", file.path(), a.name, factors.target, kB));
  RETORT_TRY_STATUS(check_factor(file, a));
  RETORT_TRY_STATUS(check_factor(file, *b));
  if (a.dims[1] != b->dims[0])
    return base::fail(
        fmt::format("{}: {} has rank {}, {} has {}", file.path(), a.name, a.dims[1], b->name, b->dims[0]));
  factors.in_features = a.dims[0];
  factors.out_features = b->dims[1];
  factors.rank = a.dims[1];
  factors.a = to_floats(a.dtype, a.data);
  factors.b = to_floats(b->dtype, b->data);
  return factors;
}

}  // namespace

base::Result<Adapter> read_adapter_gguf(const std::string& path) {
  RETORT_TRY(GgufFile file, GgufFile::open(path));
  RETORT_TRY_STATUS(expect(file, "general.type", "adapter"));
  RETORT_TRY_STATUS(expect(file, "adapter.type", "lora"));
  if (file.find("adapter.alora.invocation_tokens") != nullptr)
    return base::fail(
        fmt::format("{}: is an activated LoRA (adapter.alora.invocation_tokens), which is not supported", file.path()));
  Adapter adapter;
  RETORT_TRY(adapter.name, text(file, "general.name"));
  RETORT_TRY(adapter.base.architecture, text(file, "general.architecture"));
  RETORT_TRY(adapter.base.shape, text(file, kShape));
  RETORT_TRY(adapter.base.tokenizer_hash, text(file, kTokenizer));
  RETORT_TRY(adapter.base.template_hash, text(file, kTemplate));
  if (adapter.base.architecture.empty())
    return base::fail(fmt::format("{}: general.architecture is missing", file.path()));
  RETORT_TRY(auto alpha, file.real("adapter.lora.alpha"));
  if (!alpha) return base::fail(fmt::format("{}: adapter.lora.alpha is missing", file.path()));
  adapter.alpha = static_cast<float>(*alpha);
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name.ends_with(kA)) {
      RETORT_TRY(AdapterFactors factors, read_factors(file, tensor));
      adapter.factors.push_back(std::move(factors));
    } else if (!tensor.name.ends_with(kB)) {
      return base::fail(fmt::format("{}: tensor {} is no factor, expected names that end in {} or {}", file.path(),
                                    tensor.name, kA, kB));
    } else if (std::string a(tensor.name.substr(0, tensor.name.size() - kB.size())); !file.find_tensor(a.append(kA))) {
      return base::fail(fmt::format("{}: has {} but no {}", file.path(), tensor.name, a));
    }
  }
  RETORT_TRY_STATUS(check_values(adapter, path));
  return adapter;
}

base::Status write_adapter_gguf(const Adapter& adapter, const std::filesystem::path& path) {
  check_writable(adapter);
  GgufWriter writer;
  writer.set("general.type", "adapter");
  writer.set("general.architecture", adapter.base.architecture);
  writer.set("general.name", adapter.name);
  writer.set("general.file_type", uint32_t{0});
  writer.set("adapter.type", "lora");
  writer.set("adapter.lora.alpha", adapter.alpha);
  auto set_known = [&](const char* key, const std::string& value) {
    if (!value.empty()) writer.set(key, value);
  };
  set_known(kShape, adapter.base.shape);
  set_known(kTokenizer, adapter.base.tokenizer_hash);
  set_known(kTemplate, adapter.base.template_hash);
  for (const AdapterFactors& f : adapter.factors) {
    const int64_t a[] = {f.in_features, f.rank}, b[] = {f.rank, f.out_features};
    writer.add_tensor(f.target + std::string(kA), tensor::DType::kF32, a);
    writer.add_tensor(f.target + std::string(kB), tensor::DType::kF32, b);
  }
  RETORT_TRY_STATUS(writer.begin(path.string()));
  for (const AdapterFactors& f : adapter.factors) {
    RETORT_TRY_STATUS(writer.write(std::as_bytes(std::span(f.a))));
    RETORT_TRY_STATUS(writer.write(std::as_bytes(std::span(f.b))));
  }
  return writer.finish();
}

}  // namespace retort::formats
