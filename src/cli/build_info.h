// Which build this is.
#pragma once

#include <string_view>

namespace retort::cli {

/// The commit this program was built from, with "+" when files had changed since; "unknown" outside a repository.
std::string_view build_commit();

}  // namespace retort::cli
