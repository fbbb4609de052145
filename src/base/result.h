// Result<T>: a value, or an Error whose message a user can act on. The way every failure that comes from outside
// (files, requests, flags, data sets) travels through the code; programmer errors use RETORT_CHECK instead.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace retort::base {

/// Why an operation failed: where, the rule, what came, and what to do about it, in one line of plain text, e.g.
/// `m.gguf: tensor blk.3.attn_q.weight is (1024, 1024), expected (2048, 1024) from head_count=16, key_length=128`.
struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

/// The result of an operation that has nothing to return.
using Status = Result<void>;

/// `return fail(fmt::format(...));` from any function that returns a Result or a Status.
inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace retort::base

#define RETORT_CONCAT_INNER(a, b) a##b
#define RETORT_CONCAT(a, b) RETORT_CONCAT_INNER(a, b)

/// RETORT_TRY(auto file, MappedFile::open(path)); declares `file` or returns the error to the caller.
#define RETORT_TRY(declaration, expression) \
  RETORT_TRY_INNER(declaration, expression, RETORT_CONCAT(try_result_, __LINE__))
#define RETORT_TRY_INNER(declaration, expression, name)      \
  auto name = (expression);                                  \
  if (!name) return tl::unexpected(std::move(name.error())); \
  declaration = std::move(*name)

/// Returns the error of a Status (or Result whose value is not needed) to the caller.
#define RETORT_TRY_STATUS(expression)                                      \
  do {                                                                     \
    auto try_status = (expression);                                        \
    if (!try_status) return tl::unexpected(std::move(try_status.error())); \
  } while (false)
