// Any bytes as a safetensors file: refused with a message, or tensors whose every element can be read.
#include <cstdlib>
#include <string>

#include "formats/safetensors.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = formats::SafetensorsFile::parse({reinterpret_cast<const std::byte*>(data), size}, "input");
  if (!file) {
    if (!file.error().message.starts_with("input: ")) std::abort();
    return 0;
  }
  size_t bytes = 0;
  for (const formats::SafetensorsTensor& tensor : file->tensors()) {
    if (tensor.floats().size() != static_cast<size_t>(tensor.num_elements())) std::abort();
    if (file->find(tensor.name) == nullptr) std::abort();
    bytes += tensor.data.size();
  }
  if (bytes > size) std::abort();
  return 0;
}
