#include "capi/handles.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace retort::capi {
namespace {
thread_local std::string last_error;
}

void set_last_error(std::string message) noexcept {
  last_error = std::move(message);
}

char* new_string(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace retort::capi

const char* retort_version(void) {
  return RETORT_VERSION;
}
const char* retort_last_error(void) {
  return retort::capi::last_error.c_str();
}
void retort_string_free(char* string) {
  std::free(string);
}
