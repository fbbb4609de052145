#include "training/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/atomic_file.h"
#include "base/crc32c.h"
#include "base/mapped_file.h"

namespace retort::training {
namespace {

using json = nlohmann::json;

constexpr std::string_view kMagic = "RETORTCK";
constexpr uint32_t kVersion = 1;
constexpr size_t kFixedBytes = 16;

std::string little_endian(uint32_t value) {
  std::string bytes(4, '\0');
  for (size_t i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> (8 * i) & 255);
  return bytes;
}

uint32_t read_u32(std::span<const std::byte> bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= static_cast<uint32_t>(bytes[i]) << (8 * i);
  return value;
}

json to_json(const Progress& p) {
  return {{"step", p.step},
          {"epoch", p.epoch},
          {"step_in_epoch", p.step_in_epoch},
          {"tokens", p.tokens},
          {"seconds", p.seconds},
          {"best_loss", p.best_loss ? json(*p.best_loss) : json()},
          {"best_step", p.best_step},
          {"evaluations_since_best", p.evaluations_since_best}};
}

Progress progress_from(const json& j) {
  Progress p;
  j.at("step").get_to(p.step);
  j.at("epoch").get_to(p.epoch);
  j.at("step_in_epoch").get_to(p.step_in_epoch);
  j.at("tokens").get_to(p.tokens);
  j.at("seconds").get_to(p.seconds);
  if (!j.at("best_loss").is_null()) p.best_loss = j.at("best_loss").get<double>();
  j.at("best_step").get_to(p.best_step);
  j.at("evaluations_since_best").get_to(p.evaluations_since_best);
  return p;
}

std::string differences(const Settings& stored, const Settings& current) {
  auto value = [](const Settings& settings, const std::string& name) -> std::string {
    auto found = std::ranges::find(settings, name, &Settings::value_type::first);
    return found == settings.end() ? "(nothing)" : found->second;
  };
  std::string text;
  auto note = [&](const std::string& name) {
    std::string then = value(stored, name), now = value(current, name);
    if (then != now) text += fmt::format("{}{} was {}, is {}", text.empty() ? "" : "; ", name, then, now);
  };
  for (const auto& [name, _] : current) note(name);
  for (const auto& [name, _] : stored)
    if (std::ranges::find(current, name, &Settings::value_type::first) == current.end()) note(name);
  return text;
}

/// Takes a file apart from front to back.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  base::Result<std::span<const std::byte>> take(size_t size, const std::string& what) {
    if (bytes_.size() < size) return damaged(fmt::format("it ends within {}", what));
    auto taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }

  base::Status check_sum(std::span<const std::byte> content, const std::string& what) {
    RETORT_TRY(auto stored, take(4, "the checksum of " + what));
    if (read_u32(stored) != base::crc32c(content))
      return damaged(fmt::format("the checksum of {} does not match", what));
    return {};
  }

  tl::unexpected<base::Error> damaged(const std::string& reason) const {
    return base::fail(
        fmt::format("{}: the checkpoint is damaged: {}; remove it to start anew, or put back a copy", path_, reason));
  }

  bool at_end() const { return bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
};

}  // namespace

base::Status save_checkpoint(const std::string& path, const Progress& progress, const Settings& settings,
                             std::span<const CheckpointArray> arrays) {
  json header = {{"progress", to_json(progress)}, {"settings", settings}, {"arrays", json::array()}};
  for (const CheckpointArray& array : arrays) header["arrays"].push_back({array.name, array.values.size()});
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string front =
      std::string(kMagic) + little_endian(kVersion) + little_endian(static_cast<uint32_t>(text.size())) + text;
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(front + little_endian(base::crc32c(std::as_bytes(std::span(front))))));
  for (const CheckpointArray& array : arrays) {
    auto bytes = std::as_bytes(array.values);
    RETORT_TRY_STATUS(file.write(bytes));
    RETORT_TRY_STATUS(file.write(little_endian(base::crc32c(bytes))));
  }
  return file.commit();
}

base::Result<Progress> load_checkpoint(const std::string& path, const Settings& settings,
                                       std::span<const CheckpointArray> arrays) {
  RETORT_TRY(base::MappedFile file, base::MappedFile::open(path));
  Reader reader(file.bytes(), path);
  RETORT_TRY(auto fixed, reader.take(kFixedBytes, "its first bytes"));
  if (std::memcmp(fixed.data(), kMagic.data(), kMagic.size()) != 0)
    return base::fail(fmt::format("{}: not a checkpoint of Retort: it does not begin with {}", path, kMagic));
  if (uint32_t version = read_u32(fixed.subspan(8)); version != kVersion)
    return base::fail(
        fmt::format("{}: checkpoint version {}, this program reads {}; finish the run with the program "
                    "that began it",
                    path, version, kVersion));
  size_t header_bytes = read_u32(fixed.subspan(12));
  RETORT_TRY(auto text, reader.take(header_bytes, "its header"));
  RETORT_TRY_STATUS(reader.check_sum(file.bytes().first(kFixedBytes + header_bytes), "its header"));

  Progress progress;
  Settings stored_settings;
  std::vector<std::pair<std::string, size_t>> stored_arrays;
  try {
    json header = json::parse(reinterpret_cast<const char*>(text.data()),
                              reinterpret_cast<const char*>(text.data()) + text.size());
    progress = progress_from(header.at("progress"));
    header.at("settings").get_to(stored_settings);
    header.at("arrays").get_to(stored_arrays);
  } catch (const json::exception& error) {
    return reader.damaged(fmt::format("its header cannot be read ({})", error.what()));
  }
  if (std::string text_of = differences(stored_settings, settings); !text_of.empty())
    return base::fail(
        fmt::format("{}: this run began with other settings: {}; resume with the same, or choose another "
                    "output folder",
                    path, text_of));
  if (stored_arrays.size() != arrays.size())
    return base::fail(fmt::format("{}: holds {} arrays, this run has {}", path, stored_arrays.size(), arrays.size()));
  std::vector<std::span<const std::byte>> contents;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const auto& [name, size] = stored_arrays[i];
    if (name != arrays[i].name || size != arrays[i].values.size())
      return base::fail(fmt::format("{}: array {} is {} with {} numbers, this run expects {} with {}", path, i, name,
                                    size, arrays[i].name, arrays[i].values.size()));
    RETORT_TRY(auto content, reader.take(size * sizeof(float), name));
    RETORT_TRY_STATUS(reader.check_sum(content, name));
    contents.push_back(content);
  }
  if (!reader.at_end()) return reader.damaged("there are bytes after its end");
  for (size_t i = 0; i < arrays.size(); ++i)
    if (!contents[i].empty()) std::memcpy(arrays[i].values.data(), contents[i].data(), contents[i].size());
  return progress;
}

}  // namespace retort::training
