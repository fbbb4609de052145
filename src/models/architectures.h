// The known architectures: each is one file and one line here.
#pragma once

#include <cmath>
#include <memory>

#include "models/language_model.h"

namespace retort::models {

/// X(NAME): the file NAME.cc defines make_NAME, for files whose general.architecture is NAME.
#define RETORT_ARCHITECTURES(X) \
  X(gemma3)                     \
  X(llama)                      \
  X(qwen2)                      \
  X(qwen3)

#define RETORT_DECLARE(name) std::unique_ptr<LanguageModel> make_##name(const Hyperparameters& hyperparameters);
RETORT_ARCHITECTURES(RETORT_DECLARE)
#undef RETORT_DECLARE

/// The usual scale of attention scores.
inline float attention_scale(const Hyperparameters& h) {
  return 1 / std::sqrt(static_cast<float>(h.head_dim));
}

}  // namespace retort::models
