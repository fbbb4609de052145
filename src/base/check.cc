#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace retort::base::internal {

void check_failed(const char* expression, const std::string& values, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, expression, values.c_str());
  std::abort();
}

}  // namespace retort::base::internal
