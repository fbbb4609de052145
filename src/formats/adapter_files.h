// What the two forms of adapter files share; adapter.h is for everybody else.
#pragma once

#include <string>

#include "formats/adapter.h"

namespace retort::formats {

base::Result<Adapter> read_adapter_gguf(const std::string& path);
base::Result<Adapter> read_adapter_peft(const std::filesystem::path& folder, const BaseIdentity* base);

/// Fails unless alpha is positive and there are factors, all of finite numbers: what every adapter that was read
/// promises.
base::Status check_values(const Adapter& adapter, const std::string& path);

/// RETORT_CHECKs that, and that the factors have as many numbers as their shapes say.
void check_writable(const Adapter& adapter);

}  // namespace retort::formats
