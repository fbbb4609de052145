// Downloading one file over HTTP: resumable, verified, never half in place.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace retort::hub {

/// Bytes there are and bytes there will be (0: not known yet).
using OnProgress = std::function<void(uint64_t done, uint64_t total)>;

struct DownloadOptions {
  std::string bearer_token;     // sent to the first host only, never to where it redirects
  uint64_t expected_bytes = 0;  // 0: not known; anything else that comes is refused
  int max_attempts = 5;         // after dropped connections, time-outs and 429 or 5xx answers
  int retry_delay_ms = 200;     // doubled after each
  int connect_timeout_s = 10;
  int stall_timeout_s = 30;  // no byte for this long: drop and resume
  const std::atomic<bool>* cancelled = nullptr;
  OnProgress on_progress;
};

/// Gets `url` into `path`.partial, going on where an earlier attempt stopped if the server still has the same file (its
/// ETag or date, kept in `path`.partial.tag). The caller verifies the file and renames it. On failure the partial file
/// stays for the next attempt, unless it is known to be wrong.
base::Status download(const std::string& url, const std::string& path, const DownloadOptions& options);

/// The message of a cancelled download ends with this.
inline constexpr const char* kCancelledMessage = "interrupted; run the same command again to go on";

/// Lower-case hexadecimal SHA-256 of a file.
base::Result<std::string> sha256_of(const std::string& path, const OnProgress& on_progress = {});

}  // namespace retort::hub
