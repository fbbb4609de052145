#include "formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace retort::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are written in the host's byte order");

constexpr uint32_t kVersion = 3;
constexpr std::string_view kAlignmentKey = "general.alignment";

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out += text;
}

}  // namespace

void GgufWriter::put(std::string_view key, GgufType type, std::span<const std::byte> bytes) {
  RETORT_CHECK(!key.empty());
  std::string value;
  value.reserve(4 + bytes.size());
  append(value, static_cast<uint32_t>(type));
  value.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto known = std::find_if(metadata_.begin(), metadata_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (known != metadata_.end())
    known->value = std::move(value);
  else
    metadata_.push_back({std::string(key), std::move(value)});
}

void GgufWriter::put_array(std::string_view key, GgufType type, uint64_t size, std::span<const std::byte> bytes) {
  std::string value;
  value.reserve(12 + bytes.size());
  append(value, static_cast<uint32_t>(type));
  append(value, size);
  value.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  put(key, GgufType::kArray, std::as_bytes(std::span(value)));
}

void GgufWriter::set(std::string_view key, std::string_view text) {
  std::string value;
  append_string(value, text);
  put(key, GgufType::kString, std::as_bytes(std::span(value)));
}

void GgufWriter::set_array(std::string_view key, std::span<const std::string_view> texts) {
  std::string value;
  for (std::string_view text : texts) append_string(value, text);
  put_array(key, GgufType::kString, texts.size(), std::as_bytes(std::span(value)));
}

void GgufWriter::copy(const GgufMetadataEntry& entry) {
  const GgufValue& v = entry.value;
  auto number = [&]<class T>(T) {
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) set(entry.key, static_cast<T>(value));
        },
        v.value);
  };
  if (entry.key == kAlignmentKey) {
    if (const auto* u = std::get_if<uint64_t>(&v.value)) return set_alignment(static_cast<uint32_t>(*u));
    if (const auto* i = std::get_if<int64_t>(&v.value)) return set_alignment(static_cast<uint32_t>(*i));
  }
  switch (v.type) {
    case GgufType::kUint8:
      return number(uint8_t{});
    case GgufType::kInt8:
      return number(int8_t{});
    case GgufType::kUint16:
      return number(uint16_t{});
    case GgufType::kInt16:
      return number(int16_t{});
    case GgufType::kUint32:
      return number(uint32_t{});
    case GgufType::kInt32:
      return number(int32_t{});
    case GgufType::kUint64:
      return number(uint64_t{});
    case GgufType::kInt64:
      return number(int64_t{});
    case GgufType::kFloat32:
      return number(float{});
    case GgufType::kFloat64:
      return number(double{});
    case GgufType::kBool:
      return number(bool{});
    case GgufType::kString:
      return set(entry.key, std::get<std::string_view>(v.value));
    case GgufType::kArray: {
      const auto& array = std::get<GgufArray>(v.value);
      return put_array(entry.key, array.element_type(), array.size(), array.bytes());
    }
  }
}

void GgufWriter::set_alignment(uint32_t alignment) {
  RETORT_CHECK(alignment >= 8u);
  RETORT_CHECK(alignment <= 1u << 20);
  RETORT_CHECK((alignment & (alignment - 1)) == 0u);
  RETORT_CHECK(tensors_.empty());
  alignment_ = alignment;
  set(kAlignmentKey, alignment);
}

void GgufWriter::add_tensor(std::string_view name, tensor::DType dtype, std::span<const int64_t> dims) {
  RETORT_CHECK(!name.empty());
  RETORT_CHECK(!dims.empty());
  RETORT_CHECK(dims.size() <= 4u);
  int64_t elements = 1;
  for (int64_t dim : dims) {
    RETORT_CHECK(dim > 0);
    elements *= dim;
  }
  RETORT_CHECK(dims[0] % tensor::info(dtype).block_elements == 0);
  tensors_.push_back({std::string(name),
                      dtype,
                      {dims.begin(), dims.end()},
                      data_bytes(),
                      static_cast<uint64_t>(tensor::row_bytes(dtype, elements))});
}

uint64_t GgufWriter::data_bytes() const {
  if (tensors_.empty()) return 0;
  uint64_t end = tensors_.back().offset + tensors_.back().bytes;
  return end + padding(end);
}

uint64_t GgufWriter::file_bytes() const {
  return header().size() + data_bytes();
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  append(out, kVersion);
  append<uint64_t>(out, tensors_.size());
  append<uint64_t>(out, metadata_.size());
  for (const Entry& entry : metadata_) {
    append_string(out, entry.key);
    out += entry.value;
  }
  for (const Described& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<uint32_t>(tensor.dims.size()));
    for (int64_t dim : tensor.dims) append(out, dim);
    append(out, static_cast<uint32_t>(tensor.dtype));
    append(out, tensor.offset);
  }
  if (!tensors_.empty()) out.resize(out.size() + padding(out.size()), '\0');
  return out;
}

base::Status GgufWriter::begin(const std::string& path) {
  RETORT_CHECK(!file_.has_value());
  std::vector<std::string_view> names;
  for (const Described& tensor : tensors_) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  if (auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    return base::fail(fmt::format("{}: tensor {} would be written twice", path, *twice));
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(header()));
  file_.emplace(std::move(file));
  return {};
}

base::Status GgufWriter::pad() {
  const std::string zeros(padding(tensors_[current_].bytes), '\0');
  ++current_;
  written_ = 0;
  return file_->write(zeros);
}

base::Status GgufWriter::write(std::span<const std::byte> bytes) {
  RETORT_CHECK(file_.has_value());
  RETORT_CHECK(current_ < tensors_.size());
  RETORT_CHECK(bytes.size() <= tensors_[current_].bytes - written_);
  RETORT_TRY_STATUS(file_->write(bytes));
  written_ += bytes.size();
  return written_ == tensors_[current_].bytes ? pad() : base::Status();
}

base::Status GgufWriter::finish() {
  RETORT_CHECK(file_.has_value());
  RETORT_CHECK(current_ == tensors_.size());
  return file_->commit();
}

}  // namespace retort::formats
