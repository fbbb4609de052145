// The tiny random models of tests/golden/models as runtime models, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/golden_gguf.h"
#include "runtime/model.h"

namespace retort::runtime {

inline constexpr const char* kGoldenModels[] = {"llama", "llama-rope-scaled", "qwen2", "gemma3"};

inline std::unique_ptr<Model> load_golden(const std::string& name) {
  auto model = Model::load(test::golden_folder() + name + ".gguf");
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : nullptr;
}

/// `count` tokens of plain text: the golden vocabulary's first 256 are the bytes.
inline std::vector<int32_t> random_tokens(size_t count, uint64_t seed) {
  base::Random random(seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(256));
  return ids;
}

}  // namespace retort::runtime
