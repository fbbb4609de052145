// Which file a MODEL argument means.
#pragma once

#include <string>

#include "base/result.h"

namespace retort::cli {

/// An existing path is itself; a catalogue name or hf://owner/repo/file.gguf is its place in the model cache. Fails
/// when the model is known but not there (`retort pull NAME`) or unknown (listing the catalogue).
base::Result<std::string> resolve_model(const std::string& model);

}  // namespace retort::cli
