// Numbers at any address. Internal linkage: each including file is compiled with flags of its own.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

inline uint32_t load_u32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}

}  // namespace
