// The known architectures: each is one file, one line here and one in registry.cc.
#pragma once

#include <cmath>
#include <memory>

#include "models/language_model.h"

namespace retort::models {

std::unique_ptr<LanguageModel> make_gemma3(const Hyperparameters& hyperparameters);
std::unique_ptr<LanguageModel> make_llama(const Hyperparameters& hyperparameters);
std::unique_ptr<LanguageModel> make_qwen2(const Hyperparameters& hyperparameters);

/// The usual scale of attention scores.
inline float attention_scale(const Hyperparameters& h) {
  return 1 / std::sqrt(static_cast<float>(h.head_dim));
}

}  // namespace retort::models
