// StringTable: finds the index of a string among many that lie elsewhere, without copying any.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace retort::text {

/// A fast 64-bit hash; not for adversaries: a table's strings come from one model file.
inline uint64_t hash_bytes(std::string_view text, uint64_t seed = 0) {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15ULL;
  uint64_t hash = seed ^ (text.size() * kMultiplier);
  const char* at = text.data();
  size_t left = text.size();
  auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 29;
  };
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  uint64_t word = 0;
  if (left > 0) std::memcpy(&word, at, left);
  mix(word);
  return hash ^ hash >> 32;
}

/// Open addressing over indices into `strings`, which must outlive the table. Where a string occurs twice the first
/// counts.
class StringTable {
 public:
  StringTable() = default;
  explicit StringTable(const std::vector<std::string_view>& strings) : strings_(&strings) {
    size_t size = 16;
    while (size < 2 * strings.size()) size *= 2;
    slots_.assign(size, 0);
    mask_ = size - 1;
    for (uint32_t index = 0; index < strings.size(); ++index) {
      uint64_t slot = hash_bytes(strings[index]) & mask_;
      while (slots_[slot] != 0 && strings[slots_[slot] - 1] != strings[index]) slot = (slot + 1) & mask_;
      if (slots_[slot] == 0) slots_[slot] = index + 1;
    }
  }

  /// The index of `text`, or -1.
  int32_t find(std::string_view text) const {
    if (slots_.empty()) return -1;
    for (uint64_t slot = hash_bytes(text) & mask_; slots_[slot] != 0; slot = (slot + 1) & mask_)
      if ((*strings_)[slots_[slot] - 1] == text) return static_cast<int32_t>(slots_[slot] - 1);
    return -1;
  }

 private:
  const std::vector<std::string_view>* strings_ = nullptr;
  std::vector<uint32_t> slots_;  // index + 1; 0 is empty
  uint64_t mask_ = 0;
};

}  // namespace retort::text
