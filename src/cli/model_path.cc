#include "cli/model_path.h"

#include <fmt/format.h>

#include <filesystem>

#include "hub/catalogue.h"

namespace retort::cli {

base::Result<std::string> resolve_model(const std::string& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model, ignored)) return model;
  auto cached = [&](const std::string& path) -> base::Result<std::string> {
    if (std::filesystem::exists(path, ignored)) return path;
    return base::fail(fmt::format("model {} is not in the cache: get it with `retort pull {}`", model, model));
  };
  if (const hub::CatalogueEntry* entry = hub::find_entry(model)) return cached(hub::cached_path(*entry));
  RETORT_TRY(auto reference, hub::parse_reference(model));
  if (reference) return cached(hub::cached_path(*reference));
  std::string names;
  for (const hub::CatalogueEntry& entry : hub::catalogue()) names += (names.empty() ? "" : ", ") + entry.name;
  return base::fail(fmt::format("model {}: no such file, and not one of the catalogue: {}", model, names));
}

}  // namespace retort::cli
