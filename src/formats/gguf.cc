#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "formats/gguf_parser.h"

namespace retort::formats {
namespace {

template <class T>
T element(std::span<const std::byte> bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class R>
R numeric_element(GgufType type, std::span<const std::byte> bytes, uint64_t index) {
  switch (type) {
    case GgufType::kUint8:
      return static_cast<R>(element<uint8_t>(bytes, index));
    case GgufType::kInt8:
      return static_cast<R>(element<int8_t>(bytes, index));
    case GgufType::kUint16:
      return static_cast<R>(element<uint16_t>(bytes, index));
    case GgufType::kInt16:
      return static_cast<R>(element<int16_t>(bytes, index));
    case GgufType::kUint32:
      return static_cast<R>(element<uint32_t>(bytes, index));
    case GgufType::kInt32:
      return static_cast<R>(element<int32_t>(bytes, index));
    case GgufType::kUint64:
      return static_cast<R>(element<uint64_t>(bytes, index));
    case GgufType::kInt64:
      return static_cast<R>(element<int64_t>(bytes, index));
    case GgufType::kFloat32:
      return static_cast<R>(element<float>(bytes, index));
    case GgufType::kFloat64:
      return static_cast<R>(element<double>(bytes, index));
    case GgufType::kBool:
      return static_cast<R>(element<uint8_t>(bytes, index));
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  RETORT_CHECK(type != GgufType::kString);
  return R{};
}

tl::unexpected<base::Error> wrong_type(const std::string& path, std::string_view key, const char* expected) {
  return base::fail(fmt::format("{}: metadata {} is of another type, expected {}", path, key, expected));
}

/// "model-00001-of-00003.gguf" -> {"model", 3}; nothing when the name has no such ending.
std::optional<std::pair<std::string, int>> split_name(const std::string& path) {
  constexpr std::string_view kEnding = ".gguf";
  if (path.size() < 20 || !path.ends_with(kEnding)) return std::nullopt;
  std::string tail = path.substr(path.size() - 20, 15);  // -00001-of-00003
  int number = 0, count = 0, used = 0;
  if (std::sscanf(tail.c_str(), "-%5d-of-%5d%n", &number, &count, &used) != 2 || used != 15 || number != 1 || count < 1)
    return std::nullopt;
  return std::make_pair(path.substr(0, path.size() - 20), count);
}

base::Result<GgufFile> open_one(const std::string& path) {
  RETORT_TRY(base::MappedFile mapping, base::MappedFile::open(path));
  RETORT_TRY(GgufFile file, GgufFile::parse(mapping.bytes(), path));
  GgufParser::adopt(file, std::move(mapping));
  return file;
}

base::Status check_part(const GgufFile& file, int part, int64_t count) {
  RETORT_TRY(std::optional<int64_t> number, file.integer("split.no"));
  RETORT_TRY(std::optional<int64_t> file_count, file.integer("split.count"));
  if (number == part - 1 && file_count == count) return {};
  return base::fail(fmt::format(
      "{}: split.no={} and split.count={}, expected {} and {}: it is another part, or part of another model",
      file.path(), number.value_or(-1), file_count.value_or(-1), part - 1, count));
}

}  // namespace

double GgufArray::number(uint64_t index) const {
  RETORT_CHECK(index < size_);
  return numeric_element<double>(type_, bytes_, index);
}

int64_t GgufArray::integer(uint64_t index) const {
  RETORT_CHECK(index < size_);
  RETORT_CHECK(type_ != GgufType::kFloat32);
  RETORT_CHECK(type_ != GgufType::kFloat64);
  return numeric_element<int64_t>(type_, bytes_, index);
}

std::vector<std::string_view> GgufArray::strings() const {
  RETORT_CHECK(type_ == GgufType::kString);
  std::vector<std::string_view> all;
  all.reserve(size_);
  const auto* at = reinterpret_cast<const char*>(bytes_.data());
  for (uint64_t i = 0; i < size_; ++i) {
    uint64_t length;
    std::memcpy(&length, at, 8);
    all.emplace_back(at + 8, length);
    at += 8 + length;
  }
  return all;
}

base::Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  return GgufParser(bytes, name).parse();
}

base::Result<GgufFile> GgufFile::open(const std::string& path) {
  RETORT_TRY(GgufFile file, open_one(path));
  RETORT_TRY(std::optional<int64_t> count, file.integer("split.count"));
  if (!count || *count <= 1) return file;
  auto name = split_name(path);
  if (!name || name->second != *count)
    return base::fail(
        fmt::format("{}: part of a model split into {}: open its first part, NAME-00001-of-{:05}.gguf, with the "
                    "others beside it",
                    path, *count, *count));
  RETORT_TRY(std::optional<int64_t> all_tensors, file.integer("split.tensors.count"));
  RETORT_TRY_STATUS(check_part(file, 1, *count));
  for (int part = 2; part <= name->second; ++part) {
    base::Result<GgufFile> next = open_one(fmt::format("{}-{:05}-of-{:05}.gguf", name->first, part, name->second));
    if (!next)
      return base::fail(fmt::format("part {} of {} cannot be read: {}: all parts must lie beside the first", part,
                                    name->second, next.error().message));
    RETORT_TRY_STATUS(check_part(*next, part, *count));
    GgufParser::append_part(file, std::move(*next));
  }
  if (all_tensors && *all_tensors != static_cast<int64_t>(file.tensors_.size()))
    return base::fail(fmt::format("{}: all parts together have {} tensors, split.tensors.count is {}", path,
                                  file.tensors_.size(), *all_tensors));
  RETORT_TRY_STATUS(GgufParser::index(file));
  return file;
}

void GgufFile::leave_memory() const {
  for (const base::MappedFile& part : parts_) part.leave_memory();
}

std::vector<std::string> GgufFile::part_paths() const {
  std::vector<std::string> paths;
  for (const base::MappedFile& part : parts_) paths.push_back(part.path());
  return paths;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  auto at = std::lower_bound(tensor_order_.begin(), tensor_order_.end(), name,
                             [this](uint32_t i, std::string_view key) { return tensors_[i].name < key; });
  return at != tensor_order_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  auto at = std::lower_bound(metadata_order_.begin(), metadata_order_.end(), key,
                             [this](uint32_t i, std::string_view k) { return metadata_[i].key < k; });
  return at != metadata_order_.end() && metadata_[*at].key == key ? &metadata_[*at].value : nullptr;
}

base::Result<std::optional<int64_t>> GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(&value->value)) return *i;
  if (const auto* u = std::get_if<uint64_t>(&value->value); u != nullptr && *u <= INT64_MAX)
    return static_cast<int64_t>(*u);
  return wrong_type(path_, key, "an integer");
}

base::Result<std::optional<double>> GgufFile::real(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(&value->value)) return *d;
  if (const auto* i = std::get_if<int64_t>(&value->value)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&value->value)) return static_cast<double>(*u);
  return wrong_type(path_, key, "a number");
}

base::Result<std::optional<bool>> GgufFile::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* b = std::get_if<bool>(&value->value)) return *b;
  return wrong_type(path_, key, "a bool");
}

base::Result<std::optional<std::string_view>> GgufFile::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* s = std::get_if<std::string_view>(&value->value)) return *s;
  return wrong_type(path_, key, "a string");
}

base::Result<const GgufArray*> GgufFile::array(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* a = std::get_if<GgufArray>(&value->value)) return a;
  return wrong_type(path_, key, "an array");
}

}  // namespace retort::formats
