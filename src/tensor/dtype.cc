#include "tensor/dtype.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace retort::tensor {

std::optional<DType> dtype_from_name(std::string_view name) {
  auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
  };
  for (const DTypeInfo& entry : kDTypes)
    if (std::equal(name.begin(), name.end(), entry.name.begin(), entry.name.end(), same)) return entry.dtype;
  return std::nullopt;
}

std::string_view dtype_names() {
  static const std::string names = [] {
    std::string all;
    for (const DTypeInfo& entry : kDTypes) {
      if (!all.empty()) all += ", ";
      all += entry.name;
    }
    return all;
  }();
  return names;
}

}  // namespace retort::tensor
