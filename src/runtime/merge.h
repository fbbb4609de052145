// Merging: a model file written again with adapters added to its weights, so that it runs without them.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "formats/adapter.h"
#include "formats/gguf.h"
#include "runtime/tensor_converter.h"
#include "tensor/dtype.h"

namespace retort::runtime {

struct MergeInput {
  formats::Adapter adapter;
  float scale = 1;
  std::string path;  // for messages
};

struct MergeOptions {
  std::optional<tensor::DType> dtype = {};  // as in RequantizeOptions; nothing: each tensor keeps its type
  ConversionOptions conversion = {};
};

struct MergeResult {
  uint64_t bytes = 0;          // of the new file
  int64_t merged_tensors = 0;  // that an adapter changed
};

/// Writes `base` to `out` (atomically) with W + sum of scale * alpha / rank * B A in place of W for every target: what
/// is stored is turned into floats, changed and stored again, which for a quantized type rounds anew. The rest,
/// metadata included, stays as it is, so that adapters of `base` fit the result too. Memory: a few MiB besides the
/// mapped input and the adapters. Fails when an adapter was trained on another model (formats::check_fits), a target is
/// stored in a type that cannot be written, `out` is one of the inputs or cannot be written or `cancelled` becomes
/// true; nothing is left behind then.
base::Result<MergeResult> merge(const formats::GgufFile& base, std::span<const MergeInput> inputs,
                                const std::string& out, const MergeOptions& options = {});

}  // namespace retort::runtime
