// Any bytes as a GGUF file: refused with a message, or a model that tokenizes and decodes.
#include <algorithm>

#include "base/thread_pool.h"
#include "memory_file.h"
#include "runtime/model.h"
#include "runtime/runner.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kSmall = 1 << 20;  // parameters: what is larger loads but is not worth the time to run
  static base::ThreadPool pool(1);
  MemoryFile file(data, size);
  auto model = runtime::Model::load(file.path());
  if (!model) {
    if (model.error().message.empty()) std::abort();
    return 0;
  }
  std::vector<int32_t> ids = (*model)->tokenizer().encode("Hello <|im_end|> w\xc3\xb6rld\n");
  (*model)->tokenizer().decode(ids);
  int64_t parameters = 0;
  for (const formats::GgufTensor& tensor : (*model)->file().tensors()) parameters += tensor.num_elements();
  if (ids.empty() || parameters > kSmall) return 0;
  runtime::Runner runner((*model)->network(), pool);
  auto cache = runner.make_cache(static_cast<int64_t>(ids.size()));
  if (!cache) return 0;
  runtime::Input input{&*cache, ids, runtime::Want::kLast};
  auto status = runner.run({&input, 1}, [](size_t, int64_t, std::span<float>) {});
  if (!status && status.error().message.empty()) std::abort();
  return 0;
}
