// Getting a model into the cache: from each of its sources in turn, verified before it is used.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "hub/catalogue.h"
#include "hub/download.h"

namespace retort::hub {

struct PullOptions {
  std::string sha256;  // expected, for hf:// references; the catalogue has its own
  bool force = false;  // get it again even if it is there
  int stall_timeout_s = 30;
  const std::atomic<bool>* cancelled = nullptr;
  OnProgress on_progress;
  std::function<void(const std::string&)> on_note;  // one line: which source is tried, why one failed
};

struct PullResult {
  std::string name, path;
  uint64_t bytes = 0;
  std::string sha256;
};

/// Gets a catalogue model, or hf://owner/repo/file.gguf. A model that is there and intact is left alone. A file with
/// another checksum than expected is deleted and the next source tried; nothing unverified ever gets the final name.
/// Hugging Face's address comes from $HF_ENDPOINT, and $HF_TOKEN is sent to it alone. Two pulls of one model wait for
/// each other.
base::Result<PullResult> pull(const std::string& name, const PullOptions& options);

}  // namespace retort::hub
