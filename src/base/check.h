// RETORT_CHECK: states what the programmer promises. It prints both sides and aborts when the promise is broken, in
// every build type. No input from outside may ever reach a failing check: that is what Result is for.
#pragma once

#include <sstream>
#include <string>

namespace retort::base::internal {

[[noreturn]] void check_failed(const char* expression, const std::string& values, const char* file, int line);

template <class T>
std::string show(const T& value) {
  if constexpr (requires(std::ostringstream & out) { out << value; }) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return "?";
  }
}

/// The outcome of one comparison, with both operands as text when it failed.
struct Comparison {
  bool ok;
  std::string values;
  explicit operator bool() const { return ok; }
};

/// Left operand of the checked expression, caught before the comparison swallows it.
template <class L>
struct Operand {
  const L& left;
#define RETORT_COMPARE(op)                                                    \
  template <class R>                                                          \
  Comparison operator op(const R& right) const {                              \
    bool ok = left op right;                                                  \
    return {ok, ok ? std::string() : show(left) + " " #op " " + show(right)}; \
  }
  RETORT_COMPARE(==)
  RETORT_COMPARE(!=)
  RETORT_COMPARE(<)
  RETORT_COMPARE(<=)
  RETORT_COMPARE(>)
  RETORT_COMPARE(>=)
#undef RETORT_COMPARE
  explicit operator bool() const {
    return static_cast<bool>(left);
  }
};

struct Catcher {
  template <class L>
  Operand<L> operator<<(const L& left) const {
    return {left};
  }
};

inline Comparison to_comparison(Comparison c) {
  return c;
}
template <class L>
Comparison to_comparison(const Operand<L>& o) {
  bool ok = static_cast<bool>(o);
  return {ok, ok ? std::string() : "false"};
}

}  // namespace retort::base::internal

#define RETORT_CHECK(...)                                                                                             \
  do {                                                                                                                \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wparentheses\"") _Pragma(                       \
        "GCC diagnostic ignored \"-Wsign-compare\"") if (auto check_result =                                          \
                                                             ::retort::base::internal::to_comparison(                 \
                                                                 ::retort::base::internal::Catcher() << __VA_ARGS__); \
                                                         !check_result)::retort::base::internal::                     \
        check_failed(#__VA_ARGS__, check_result.values, __FILE__, __LINE__);                                          \
    _Pragma("GCC diagnostic pop")                                                                                     \
  } while (false)
