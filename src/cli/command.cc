#include "cli/command.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

namespace retort::cli {

int report(const base::Error& error) {
  fmt::print(stderr, "retort: {}\n", error.message);
  return kFailed;
}

int finish(const base::Result<int>& result) {
  return result ? *result : report(result.error());
}

base::Result<std::string> read_input(const std::string& path) {
  if (path.empty() || path == "-")
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::fail(fmt::format("{}: cannot open: {}", path, std::generic_category().message(errno)));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace retort::cli
