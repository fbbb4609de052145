// Writes a random adapter of a model's projections in both forms: random_adapter MODEL RANK STRENGTH OUT.gguf FOLDER
// STRENGTH is how large the change is beside the weights, as a ratio of standard deviations.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/adapter.h"
#include "kernels/dequantize.h"

using namespace retort;

namespace {

double deviation(const formats::GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
  kernels::dequantize_row(tensor.dtype, tensor.data.data(), values.data(), tensor.num_elements());
  double squares = 0;
  for (float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

std::vector<float> normal(int64_t count, double scale, base::Random& random) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(scale * random.normal()));
  return values;
}

bool is_projection(std::string_view name) {
  for (std::string_view kind : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
    if (name.ends_with(fmt::format(".{}.weight", kind))) return true;
  return false;
}

base::Status write(const std::string& model, int64_t rank, double strength, const std::string& gguf,
                   const std::string& folder) {
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(model));
  base::Random random(20210617);
  formats::Adapter adapter;
  adapter.base = formats::base_identity(file);
  adapter.name = "random";
  adapter.alpha = 2 * static_cast<float>(rank);
  for (const formats::GgufTensor& tensor : file.tensors()) {
    if (!is_projection(tensor.name)) continue;
    // An element of alpha / rank * B A deviates by 2 * sqrt(rank) * (of A) * (of B).
    double of_a = 1 / std::sqrt(static_cast<double>(tensor.dims[0]));
    double of_b = strength * deviation(tensor) / (2 * std::sqrt(static_cast<double>(rank)) * of_a);
    std::string target(tensor.name.substr(0, tensor.name.size() - std::string_view(".weight").size()));
    adapter.factors.push_back({target, tensor.dims[0], tensor.dims[1], rank,
                               normal(rank * tensor.dims[0], of_a, random),
                               normal(rank * tensor.dims[1], of_b, random)});
  }
  if (adapter.factors.empty()) return base::fail(fmt::format("{}: has no projections", model));
  RETORT_TRY_STATUS(formats::write_adapter_gguf(adapter, gguf));
  return formats::write_adapter_peft(adapter, folder);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: {} MODEL RANK STRENGTH OUT.gguf FOLDER\n", argv[0]);
    return 2;
  }
  auto status = write(argv[1], std::atoll(argv[2]), std::atof(argv[3]), argv[4], argv[5]);
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}
