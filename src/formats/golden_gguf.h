// The tiny random models of tests/golden/models (tools/make_model_goldens.py), for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"

namespace retort::test {

inline std::string golden_folder() {
  return RETORT_SOURCE_DIR "/tests/golden/models/";
}

/// The architectures there is a golden of, in order.
inline std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder()))
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Fails the test when it cannot be read, and ends it.
inline formats::GgufFile open_gguf(const std::string& path) {
  auto file = formats::GgufFile::open(path);
  EXPECT_TRUE(file) << file.error().message;
  return std::move(file).value();
}

inline formats::GgufFile golden_gguf(const std::string& name) {
  return open_gguf(golden_folder() + name + ".gguf");
}

}  // namespace retort::test
