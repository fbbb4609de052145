// What stands behind the C API's opaque pointers, and how failures become retort_last_error().
#pragma once

#include <exception>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "retort/retort.h"
#include "runtime/model.h"
#include "runtime/runner.h"
#include "runtime/session.h"

struct retort_model {
  std::shared_ptr<const retort::runtime::Model> model;
};

struct retort_session {
  std::shared_ptr<const retort::runtime::Model> model;
  std::unique_ptr<retort::base::ThreadPool> pool;
  std::unique_ptr<retort::runtime::Runner> runner;
  std::unique_ptr<retort::runtime::Session> session;
};

namespace retort::capi {

/// Remembers why this thread's call failed.
void set_last_error(std::string message) noexcept;

/// Runs `body`, which returns a Result<T>; its value, or `failed` with the error remembered. No exception gets past.
template <class T, class F>
T guarded(T failed, F&& body) noexcept {
  try {
    base::Result<T> result = body();
    if (result) return *result;
    set_last_error(std::move(result.error().message));
  } catch (const std::bad_alloc&) {
    set_last_error("out of memory");
  } catch (const std::exception& exception) {
    set_last_error(exception.what());
  }
  return failed;
}

/// A copy for the caller to free with retort_string_free().
char* new_string(const std::string& text);

/// The caller's struct on top of the defaults: programs built with an older, shorter header leave the rest as it is.
template <class T>
T with_defaults(const T* given, T defaults) {
  if (given == nullptr) return defaults;
  size_t bytes = given->struct_bytes < sizeof(T) ? given->struct_bytes : sizeof(T);
  __builtin_memcpy(&defaults, given, bytes);
  return defaults;
}

}  // namespace retort::capi
