#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "base/atomic_file.h"
#include "base/check.h"
#include "formats/floats.h"

namespace retort::formats {
namespace {

using nlohmann::json;
using tensor::DType;

constexpr uint64_t kMaxHeader = 16 << 20;  // some 100,000 tensors; as JSON in memory it takes twenty times as much
constexpr uint64_t kMaxElements = uint64_t{1} << 40;
constexpr const char* kMetadata = "__metadata__";

std::string in_quotes(std::string_view text) {
  constexpr size_t kShown = 100;
  std::string shown;
  for (char c : text.substr(0, kShown)) shown += c >= ' ' && c < 127 ? c : '?';
  return fmt::format("\"{}{}\"", shown, text.size() > kShown ? "..." : "");
}

/// A value of the header as messages show it.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 100 ? text.substr(0, 100) + "..." : text;
}

std::optional<DType> plain_type(const json& name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  return std::nullopt;
}

/// The header as JSON; a key that occurs twice in an object is an error there, and no error to the JSON library.
base::Result<json> parse_header(std::string_view text, const std::string& name) {
  std::vector<std::set<std::string>> keys;
  std::string twice, deep;
  auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > 3) deep = fmt::format("nests {} levels deep, expected 2", depth);
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return depth <= 3;  // what is deeper is not kept
  };
  json header = json::parse(text, watch, /*allow_exceptions=*/false);
  if (header.is_discarded())
    return base::fail(fmt::format("{}: the header of {} bytes is not JSON", name, text.size()));
  if (!deep.empty()) return base::fail(fmt::format("{}: the header {}", name, deep));
  if (!twice.empty()) return base::fail(fmt::format("{}: the header has {} twice", name, in_quotes(twice)));
  return header;
}

base::Result<SafetensorsMetadata> parse_metadata(const json& value, const std::string& name) {
  if (!value.is_object())
    return base::fail(fmt::format("{}: {} is {}, expected an object of strings", name, kMetadata, shown(value)));
  SafetensorsMetadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      return base::fail(
          fmt::format("{}: {} {} is {}, expected a string", name, kMetadata, in_quotes(key), shown(text)));
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

struct Placed {
  SafetensorsTensor tensor;
  uint64_t begin = 0, end = 0;
};

base::Result<Placed> parse_tensor(const std::string& key, const json& value, uint64_t data_bytes,
                                  const std::string& name) {
  std::string where = fmt::format("{}: tensor {}", name, in_quotes(key));
  if (!value.is_object()) return base::fail(fmt::format("{} is {}, expected an object", where, shown(value)));
  for (const auto& [field, ignored] : value.items())
    if (field != "dtype" && field != "shape" && field != "data_offsets")
      return base::fail(
          fmt::format("{} has the field {}, known are dtype, shape and data_offsets", where, in_quotes(field)));
  for (const char* field : {"dtype", "shape", "data_offsets"})
    if (!value.contains(field)) return base::fail(fmt::format("{} has no {}", where, field));

  std::optional<DType> dtype = plain_type(value["dtype"]);
  if (!dtype)
    return base::fail(fmt::format("{} has dtype {}, known are F32, F16 and BF16", where, shown(value["dtype"])));
  Placed placed;
  placed.tensor.name = key;
  placed.tensor.dtype = *dtype;
  const json& shape = value["shape"];
  if (!shape.is_array()) return base::fail(fmt::format("{} has shape {}, expected a list", where, shown(shape)));
  uint64_t product = 1;  // of the dimensions that are not 0, so that num_elements() cannot overflow
  for (const json& dim : shape) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > kMaxElements / product)
      return base::fail(
          fmt::format("{} has shape {}, expected dimensions with a product of up to 2^40", where, shown(shape)));
    product *= std::max(dim.get<uint64_t>(), uint64_t{1});
    placed.tensor.shape.push_back(dim.get<int64_t>());
  }
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    return base::fail(fmt::format("{} has data_offsets {}, expected two positions", where, shown(offsets)));
  placed.begin = offsets[0].get<uint64_t>();
  placed.end = offsets[1].get<uint64_t>();
  if (placed.begin > placed.end || placed.end > data_bytes)
    return base::fail(fmt::format("{} has data_offsets {}, the file has {} bytes of data: it is cut short or damaged",
                                  where, shown(offsets), data_bytes));
  auto bytes = static_cast<uint64_t>(placed.tensor.num_elements() * tensor::info(*dtype).block_bytes);
  if (placed.end - placed.begin != bytes)
    return base::fail(fmt::format("{} has data_offsets {}, {} bytes; its shape {} needs {}", where, shown(offsets),
                                  placed.end - placed.begin, shown(shape), bytes));
  return placed;
}

}  // namespace

int64_t SafetensorsTensor::num_elements() const {
  int64_t elements = 1;
  for (int64_t dim : shape) elements *= dim;
  return elements;
}

std::vector<float> SafetensorsTensor::floats() const {
  return to_floats(dtype, data);
}

base::Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    return base::fail(fmt::format("{}: has {} bytes, the header's length needs 8", name, bytes.size()));
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  uint64_t left = bytes.size() - sizeof header_bytes;
  if (header_bytes > left || header_bytes > kMaxHeader)
    return base::fail(
        fmt::format("{}: the header's length is {}, the file has {} bytes after it and the limit is {}: not a "
                    "safetensors file, or cut short",
                    name, header_bytes, left, kMaxHeader));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes, header_bytes);
  if (!text.starts_with('{'))
    return base::fail(
        fmt::format("{}: the header begins with {}, expected an object", name, in_quotes(text.substr(0, 1))));
  RETORT_TRY(json header, parse_header(text, name));

  SafetensorsFile file;
  std::vector<Placed> all;
  std::span<const std::byte> data = bytes.subspan(sizeof header_bytes + header_bytes);
  for (const auto& [key, value] : header.items()) {
    if (key == kMetadata) {
      RETORT_TRY(file.metadata_, parse_metadata(value, name));
    } else {
      RETORT_TRY(Placed placed, parse_tensor(key, value, data.size(), name));
      placed.tensor.data = data.subspan(placed.begin, placed.end - placed.begin);
      all.push_back(std::move(placed));
    }
  }
  std::sort(all.begin(), all.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.begin, a.end, a.tensor.name) < std::tie(b.begin, b.end, b.tensor.name);
  });
  uint64_t end = 0;
  for (Placed& placed : all) {
    if (placed.begin != end)
      return base::fail(
          fmt::format("{}: tensor {} begins at byte {} of the data, expected {}, where the one before it "
                      "ends",
                      name, in_quotes(placed.tensor.name), placed.begin, end));
    end = placed.end;
    file.tensors_.push_back(std::move(placed.tensor));
  }
  if (end != data.size())
    return base::fail(
        fmt::format("{}: the tensors end at byte {} of the data, the file has {}", name, end, data.size()));
  return file;
}

base::Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  RETORT_TRY(base::MappedFile mapping, base::MappedFile::open(path));
  RETORT_TRY(SafetensorsFile file, parse(mapping.bytes(), path));
  file.mapping_ = std::move(mapping);
  return file;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

base::Status write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                               const SafetensorsMetadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  uint64_t offset = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const tensor::DTypeInfo& info = tensor::info(tensor.dtype);
    RETORT_CHECK(plain_type(std::string(info.name)).has_value());
    RETORT_CHECK(tensor.data.size() == static_cast<size_t>(tensor.num_elements() * info.block_bytes));
    if (header.contains(tensor.name) || tensor.name == kMetadata)
      return base::fail(fmt::format("{}: tensor {} would be written twice", path, tensor.name));
    header[tensor.name] = {
        {"dtype", info.name}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = text.size();
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(std::as_bytes(std::span(&header_bytes, 1))));
  RETORT_TRY_STATUS(file.write(text));
  for (const SafetensorsTensor& tensor : tensors) RETORT_TRY_STATUS(file.write(tensor.data));
  return file.commit();
}

}  // namespace retort::formats
