// Any bytes as an adapter, a GGUF file, and as the configuration and the weights of a PEFT folder: refused with a
// message, or factors as large as they say.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "formats/adapter.h"
#include "memory_file.h"

using namespace retort;

namespace {

namespace fs = std::filesystem;

void check(const base::Result<formats::Adapter>& adapter) {
  if (!adapter) {
    if (adapter.error().message.empty()) std::abort();
    return;
  }
  if (!(adapter->alpha > 0) || adapter->factors.empty()) std::abort();
  for (const formats::AdapterFactors& f : adapter->factors) {
    if (static_cast<int64_t>(f.a.size()) != f.rank * f.in_features) std::abort();
    if (static_cast<int64_t>(f.b.size()) != f.rank * f.out_features) std::abort();
  }
}

/// A folder where `input` is one of the two files and the other is a good one.
void check_as(const char* name, const char* other, const std::string& input) {
  static const formats::BaseIdentity base{"llama", "head_dim=4", "", ""};
  const fs::path folder = fs::temp_directory_path() / ("retort-adapter-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  fs::create_symlink(input, folder / name);
  fs::create_symlink(fs::path(RETORT_CORPUS) / other, folder / other);
  check(formats::read_adapter(folder, &base));
  fs::remove_all(folder);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemoryFile file(data, size);
  check(formats::read_adapter(file.path()));
  check_as("adapter_config.json", "adapter_model.safetensors", file.path());
  check_as("adapter_model.safetensors", "adapter_config.json", file.path());
  return 0;
}
