#include "models/hyperparameters.h"

#include <fmt/format.h>

#include <optional>

namespace retort::models {
namespace {

/// Reads the keys of one architecture from one file, with bounds.
class Reader {
 public:
  Reader(const formats::GgufFile& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  base::Result<int64_t> integer(const char* key, int64_t low, int64_t high,
                                std::optional<int64_t> fallback = {}) const {
    std::string name = architecture_ + "." + key;
    RETORT_TRY(std::optional<int64_t> value, file_.integer(name));
    if (!value && fallback) return *fallback;
    if (!value) return base::fail(fmt::format("{}: {} is missing", file_.path(), name));
    if (*value < low || *value > high)
      return base::fail(fmt::format("{}: {} is {}, expected {} to {}", file_.path(), name, *value, low, high));
    return *value;
  }

  base::Result<double> real(const char* key, double low, double high, std::optional<double> fallback = {}) const {
    std::string name = architecture_ + "." + key;
    RETORT_TRY(std::optional<double> value, file_.real(name));
    if (!value && fallback) return *fallback;
    if (!value) return base::fail(fmt::format("{}: {} is missing", file_.path(), name));
    if (!(*value >= low && *value <= high))
      return base::fail(fmt::format("{}: {} is {}, expected {} to {}", file_.path(), name, *value, low, high));
    return *value;
  }

  base::Result<double> rope_scale() const {
    std::string name = architecture_ + ".rope.scaling.type";
    RETORT_TRY(std::optional<std::string_view> type, file_.string(name));
    if (!type || *type == "none") return 1.0;
    if (*type != "linear")
      return base::fail(fmt::format("{}: {} is \"{}\", known are none and linear", file_.path(), name, *type));
    RETORT_TRY(double factor, real("rope.scaling.factor", 1e-3, 1e6));
    return 1 / factor;
  }

 private:
  const formats::GgufFile& file_;
  std::string architecture_;
};

}  // namespace

std::string Hyperparameters::summary() const {
  return fmt::format(
      "{}: block_count={}, embedding_length={}, feed_forward_length={}, head_count={}, head_count_kv={}, "
      "key_length={}, "
      "vocabulary={}",
      architecture, num_layers, model_dim, hidden_dim, num_heads, num_kv_heads, head_dim, vocabulary_size);
}

base::Result<Hyperparameters> read_hyperparameters(const formats::GgufFile& file) {
  RETORT_TRY(std::optional<std::string_view> architecture, file.string("general.architecture"));
  if (!architecture) return base::fail(fmt::format("{}: general.architecture is missing", file.path()));
  Hyperparameters h;
  h.architecture = *architecture;
  Reader reader(file, h.architecture);

  constexpr int64_t kMaxDim = 1 << 20, kMaxHeads = 4096, kMaxHeadDim = 4096;
  const formats::GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr)
    return base::fail(fmt::format("{}: tensor token_embd.weight is missing: the file holds no weights", file.path()));
  h.vocabulary_size = embedding->dims[1];
  if (h.vocabulary_size < 1 || h.vocabulary_size > (1 << 24))
    return base::fail(fmt::format("{}: tensor token_embd.weight has {} rows, expected 1 to {}", file.path(),
                                  h.vocabulary_size, 1 << 24));
  RETORT_TRY(h.context_length, reader.integer("context_length", 1, int64_t{1} << 32));
  RETORT_TRY(h.model_dim, reader.integer("embedding_length", 1, kMaxDim));
  RETORT_TRY(h.hidden_dim, reader.integer("feed_forward_length", 1, kMaxDim));
  RETORT_TRY(int64_t num_layers, reader.integer("block_count", 1, 1024));
  RETORT_TRY(int64_t num_heads, reader.integer("attention.head_count", 1, kMaxHeads));
  RETORT_TRY(int64_t num_kv_heads, reader.integer("attention.head_count_kv", 1, num_heads, num_heads));
  if (num_heads % num_kv_heads != 0)
    return base::fail(fmt::format("{}: {}.attention.head_count_kv is {}, expected a divisor of head_count {}",
                                  file.path(), h.architecture, num_kv_heads, num_heads));
  RETORT_TRY(int64_t head_dim, reader.integer("attention.key_length", 2, kMaxHeadDim, h.model_dim / num_heads));
  RETORT_TRY(int64_t value_dim, reader.integer("attention.value_length", 2, kMaxHeadDim, head_dim));
  if (head_dim < 2 || head_dim % 2 != 0)
    return base::fail(fmt::format("{}: a head has {} elements, expected an even number", file.path(), head_dim));
  if (value_dim != head_dim)
    return base::fail(fmt::format("{}: {}.attention.value_length is {}, expected key_length's {}", file.path(),
                                  h.architecture, value_dim, head_dim));
  RETORT_TRY(int64_t rope_dim, reader.integer("rope.dimension_count", 2, head_dim, head_dim));
  if (rope_dim % 2 != 0)
    return base::fail(fmt::format("{}: {}.rope.dimension_count is {}, expected an even number", file.path(),
                                  h.architecture, rope_dim));
  RETORT_TRY(int64_t experts, reader.integer("expert_count", 0, 1 << 16, 0));
  if (experts > 0)
    return base::fail(fmt::format("{}: {}.expert_count is {}: mixtures of experts are not supported", file.path(),
                                  h.architecture, experts));
  h.num_layers = static_cast<int>(num_layers);
  h.num_heads = static_cast<int>(num_heads);
  h.num_kv_heads = static_cast<int>(num_kv_heads);
  h.head_dim = static_cast<int>(head_dim);
  h.rope_dim = static_cast<int>(rope_dim);
  RETORT_TRY(double epsilon, reader.real("attention.layer_norm_rms_epsilon", 0, 1));
  h.norm_epsilon = static_cast<float>(epsilon);
  RETORT_TRY(h.rope_base, reader.real("rope.freq_base", 1, 1e12, 10000));
  RETORT_TRY(h.rope_base_local, reader.real("rope.freq_base_swa", 1, 1e12, 10000));
  RETORT_TRY(h.rope_scale, reader.rope_scale());
  RETORT_TRY(h.sliding_window, reader.integer("attention.sliding_window", 0, int64_t{1} << 32, 0));
  return h;
}

}  // namespace retort::models
