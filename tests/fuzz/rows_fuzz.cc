// Any bytes as training data, JSON lines and CSV: rows, or an error that says which line is bad.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "memory_file.h"
#include "training/rows.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string csv =
      (std::filesystem::temp_directory_path() / ("retort-rows-" + std::to_string(::getpid()) + ".csv")).string();
  MemoryFile file(data, size);
  ::unlink(csv.c_str());
  if (::symlink(file.path().c_str(), csv.c_str()) != 0) std::abort();
  for (const std::string& path : {file.path(), csv}) {
    auto rows = training::read_rows(path);
    if (!rows && rows.error().message.find(path) == std::string::npos) std::abort();
    if (rows) training::distinct_answers(rows->rows);
  }
  ::unlink(csv.c_str());
  return 0;
}
