#include "formats/adapter.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>

#include "base/check.h"
#include "formats/adapter_files.h"
#include "formats/floats.h"

namespace retort::formats {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

  Sha256& add(const void* data, size_t bytes) {
    EVP_DigestUpdate(context_.get(), data, bytes);
    return *this;
  }
  Sha256& add(uint64_t number) { return add(&number, sizeof number); }
  Sha256& add(std::string_view text) { return add(text.size()).add(text.data(), text.size()); }

  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &length);
    std::string text;
    for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string text_or_empty(const GgufFile& file, std::string_view key) {
  auto value = file.string(key);
  return value && *value ? std::string(**value) : "";
}

int64_t integer_or(const GgufFile& file, std::string_view key, int64_t fallback) {
  auto value = file.integer(key);
  return value && *value ? **value : fallback;
}

std::string shape_of(const GgufFile& file, const std::string& architecture) {
  auto number = [&](const char* key, int64_t fallback = 0) {
    return integer_or(file, fmt::format("{}.{}", architecture, key), fallback);
  };
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  int64_t model_dim = number("embedding_length"), heads = number("attention.head_count");
  return fmt::format("vocabulary={} model_dim={} hidden_dim={} layers={} heads={} kv_heads={} head_dim={}",
                     embedding != nullptr ? embedding->dims[1] : 0, model_dim, number("feed_forward_length"),
                     number("block_count"), heads, number("attention.head_count_kv", heads),
                     number("attention.key_length", heads > 0 ? model_dim / heads : 0));
}

/// Lengths go in before what they measure, so that no two vocabularies give the same bytes.
std::string tokenizer_hash_of(const GgufFile& file) {
  Sha256 hash;
  for (const char* name : {"model", "pre", "tokens", "merges", "scores", "token_type"}) {
    hash.add(std::string_view(name));
    const GgufValue* value = file.find(fmt::format("tokenizer.ggml.{}", name));
    if (value == nullptr) continue;
    if (const auto* text = std::get_if<std::string_view>(&value->value)) hash.add(*text);
    if (const auto* array = std::get_if<GgufArray>(&value->value))
      hash.add(array->size()).add(array->bytes().size()).add(array->bytes().data(), array->bytes().size());
  }
  return hash.hex();
}

}  // namespace

BaseIdentity base_identity(const GgufFile& base) {
  BaseIdentity identity;
  identity.architecture = text_or_empty(base, "general.architecture");
  identity.shape = shape_of(base, identity.architecture);
  identity.tokenizer_hash = tokenizer_hash_of(base);
  std::string chat_template = text_or_empty(base, "tokenizer.chat_template");
  if (!chat_template.empty()) identity.template_hash = Sha256().add(chat_template.data(), chat_template.size()).hex();
  return identity;
}

base::Status check_base(const Adapter& adapter, const BaseIdentity& base, std::string_view adapter_path,
                        std::string_view base_path) {
  struct Field {
    const char* name;
    const std::string &trained_on, &given;
    bool known;
  };
  const bool identified = !adapter.base.tokenizer_hash.empty();  // else an empty template_hash says nothing
  const Field fields[] = {
      {"architecture", adapter.base.architecture, base.architecture, !adapter.base.architecture.empty()},
      {"shape", adapter.base.shape, base.shape, !adapter.base.shape.empty()},
      {"tokenizer's sha256", adapter.base.tokenizer_hash, base.tokenizer_hash, identified},
      {"chat template's sha256", adapter.base.template_hash, base.template_hash, identified}};
  auto shown = [](const std::string& value) { return value.empty() ? "none" : value; };
  for (const Field& field : fields)
    if (field.known && field.trained_on != field.given)
      return base::fail(fmt::format("{}: was trained on another model than {}: its {} is {}, the model's is {}",
                                    adapter_path, base_path, field.name, shown(field.trained_on), shown(field.given)));
  return {};
}

base::Status check_values(const Adapter& adapter, const std::string& path) {
  if (!(adapter.alpha > 0 && std::isfinite(adapter.alpha)))
    return base::fail(fmt::format("{}: alpha is {}, expected a positive number", path, adapter.alpha));
  if (adapter.factors.empty()) return base::fail(fmt::format("{}: changes no matrix", path));
  for (const AdapterFactors& factors : adapter.factors)
    if (!all_finite(factors.a) || !all_finite(factors.b))
      return base::fail(fmt::format("{}: the factors of {} are not all finite: the training that made it diverged",
                                    path, factors.target));
  return {};
}

void check_writable(const Adapter& adapter) {
  RETORT_CHECK(adapter.alpha > 0.0f);
  RETORT_CHECK(!adapter.factors.empty());
  for (const AdapterFactors& factors : adapter.factors) {
    RETORT_CHECK(static_cast<int64_t>(factors.a.size()) == factors.rank * factors.in_features);
    RETORT_CHECK(static_cast<int64_t>(factors.b.size()) == factors.rank * factors.out_features);
  }
}

base::Result<Adapter> read_adapter(const std::filesystem::path& path, const BaseIdentity* base) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? read_adapter_peft(path, base)
                                                      : read_adapter_gguf(path.string());
}

base::Status check_fits(const Adapter& adapter, const GgufFile& base, std::string_view adapter_path) {
  RETORT_TRY_STATUS(check_base(adapter, base_identity(base), adapter_path, base.path()));
  for (const AdapterFactors& factors : adapter.factors) {
    const GgufTensor* tensor = base.find_tensor(factors.target + ".weight");
    if (tensor == nullptr)
      return base::fail(
          fmt::format("{}: changes {}.weight, which {} does not have", adapter_path, factors.target, base.path()));
    if (tensor->num_dims != 2 || tensor->dims[0] != factors.in_features || tensor->dims[1] != factors.out_features)
      return base::fail(fmt::format("{}: changes {}.weight as ({}, {}), in {} it is ({}, {})", adapter_path,
                                    factors.target, factors.out_features, factors.in_features, base.path(),
                                    tensor->dims[1], tensor->dims[0]));
  }
  return {};
}

}  // namespace retort::formats
