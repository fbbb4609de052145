#include "training/event_file.h"

#include <bit>

#include "base/crc32c.h"

namespace retort::training {
namespace {

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
  return bytes;
}

uint32_t masked_crc(const std::string& bytes) {
  uint32_t crc = base::crc32c(std::as_bytes(std::span(bytes)));
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string record(const std::string& content) {
  std::string length = little_endian(static_cast<uint64_t>(content.size()));
  return length + little_endian(masked_crc(length)) + content + little_endian(masked_crc(content));
}

// Protocol buffers: a field is its number and wire type, then a varint (0), 8 bytes (1), a length and bytes (2) or
// 4 bytes (5).
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}

std::string field(int number, int wire_type) {
  return varint(static_cast<uint64_t>(number << 3 | wire_type));
}

std::string bytes_field(int number, const std::string& bytes) {
  return field(number, 2) + varint(bytes.size()) + bytes;
}

std::string event(double wall_time) {
  return field(1, 1) + little_endian(std::bit_cast<uint64_t>(wall_time));
}

}  // namespace

std::string event_file_header(double wall_time) {
  return record(event(wall_time) + bytes_field(3, "brain.Event:2"));
}

std::string event_record(int64_t step, double wall_time, std::span<const std::pair<std::string, double>> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary += bytes_field(
        1, bytes_field(1, tag) + field(2, 5) + little_endian(std::bit_cast<uint32_t>(static_cast<float>(value))));
  return record(event(wall_time) + field(2, 0) + varint(static_cast<uint64_t>(step)) + bytes_field(5, summary));
}

}  // namespace retort::training
