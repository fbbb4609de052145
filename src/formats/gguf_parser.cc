#include "formats/gguf_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace retort::formats {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxDim = uint64_t{1} << 40;
constexpr uint64_t kReserved = 4096;  // entries made room for at once: a count is believed as its entries are read

/// Bytes of one element of a fixed-size type, 0 for strings and arrays.
size_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string shown;
  for (char c : text.substr(0, kShown)) shown += c >= ' ' && c < 127 ? c : '?';
  return fmt::format("\"{}{}\"", shown, text.size() > kShown ? "..." : "");
}

}  // namespace

tl::unexpected<base::Error> GgufParser::fault(const std::string& field, const std::string& problem) const {
  return base::fail(fmt::format("{}: {} at byte {}: {}", name_, field, at_, problem));
}

template <class T>
base::Result<T> GgufParser::read(const std::string& field) {
  if (left() < sizeof(T)) return fault(field, fmt::format("needs {} bytes, the file has {} left", sizeof(T), left()));
  T value;
  std::memcpy(&value, bytes_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return value;
}

base::Result<std::string_view> GgufParser::read_string(const std::string& field) {
  RETORT_TRY(auto length, read<uint64_t>(field));
  if (length > left()) return fault(field, fmt::format("string of {} bytes, the file has {} left", length, left()));
  std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
  at_ += length;
  return text;
}

base::Result<GgufArray> GgufParser::read_array(const std::string& field) {
  RETORT_TRY(auto type, read<uint32_t>(field));
  RETORT_TRY(auto size, read<uint64_t>(field));
  if (type > static_cast<uint32_t>(GgufType::kFloat64) || type == static_cast<uint32_t>(GgufType::kArray))
    return fault(field, fmt::format("array of type {}, expected a number, bool or string", type));
  GgufArray array;
  array.type_ = static_cast<GgufType>(type);
  array.size_ = size;
  size_t begin = at_;
  if (size_t bytes = element_bytes(array.type_); bytes > 0) {
    if (size > left() / bytes)
      return fault(field, fmt::format("array of {} elements of {} bytes, the file has {} left", size, bytes, left()));
    at_ += size * bytes;
  } else {
    if (size > left() / 8)
      return fault(field, fmt::format("array of {} strings, the file has {} bytes left", size, left()));
    for (uint64_t i = 0; i < size; ++i) {  // the hot loop of opening a model: a quarter million strings
      if (left() < 8) return fault(field, "the file ends within a string's length");
      uint64_t length;
      std::memcpy(&length, bytes_.data() + at_, 8);
      at_ += 8;
      if (length > left())
        return fault(field, fmt::format("string {} of {} bytes, the file has {} left", i, length, left()));
      at_ += length;
    }
  }
  array.bytes_ = bytes_.subspan(begin, at_ - begin);
  return array;
}

base::Result<GgufValue> GgufParser::read_value(const std::string& field, GgufType type) {
  GgufValue value;
  value.type = type;
  auto store = [&](auto result, auto widened) -> base::Status {
    if (!result) return tl::unexpected(result.error());
    value.value = static_cast<decltype(widened)>(*result);
    return {};
  };
  base::Status status;
  switch (type) {
    case GgufType::kUint8:
      status = store(read<uint8_t>(field), uint64_t{});
      break;
    case GgufType::kUint16:
      status = store(read<uint16_t>(field), uint64_t{});
      break;
    case GgufType::kUint32:
      status = store(read<uint32_t>(field), uint64_t{});
      break;
    case GgufType::kUint64:
      status = store(read<uint64_t>(field), uint64_t{});
      break;
    case GgufType::kInt8:
      status = store(read<int8_t>(field), int64_t{});
      break;
    case GgufType::kInt16:
      status = store(read<int16_t>(field), int64_t{});
      break;
    case GgufType::kInt32:
      status = store(read<int32_t>(field), int64_t{});
      break;
    case GgufType::kInt64:
      status = store(read<int64_t>(field), int64_t{});
      break;
    case GgufType::kFloat32:
      status = store(read<float>(field), double{});
      break;
    case GgufType::kFloat64:
      status = store(read<double>(field), double{});
      break;
    case GgufType::kString:
      status = store(read_string(field), std::string_view{});
      break;
    case GgufType::kArray:
      status = store(read_array(field), GgufArray{});
      break;
    case GgufType::kBool: {
      RETORT_TRY(auto byte, read<uint8_t>(field));
      if (byte > 1) return fault(field, fmt::format("bool is {}, expected 0 or 1", byte));
      value.value = byte == 1;
      break;
    }
    default:
      return fault(field, fmt::format("value of type {}, known are 0 to 12", static_cast<uint32_t>(type)));
  }
  if (!status) return tl::unexpected(status.error());
  return value;
}

base::Status GgufParser::read_metadata(GgufFile& file, uint64_t count) {
  // The smallest entry is a key's length, a type and a byte.
  if (count > left() / 13) return fault("metadata_kv_count", fmt::format("{} entries do not fit the file", count));
  file.metadata_.reserve(std::min(count, kReserved));
  for (uint64_t i = 0; i < count; ++i) {
    RETORT_TRY(std::string_view key, read_string(fmt::format("key of metadata entry {}", i)));
    if (key.empty()) return fault(fmt::format("key of metadata entry {}", i), "is empty");
    std::string field = fmt::format("metadata {}", quoted(key));
    RETORT_TRY(auto type, read<uint32_t>(field));
    RETORT_TRY(GgufValue value, read_value(field, static_cast<GgufType>(type)));
    file.metadata_.push_back({key, value});
  }
  return {};
}

base::Status GgufParser::read_tensors(GgufFile& file, uint64_t count) {
  // The smallest entry is a name's length, a dimension count, a dimension, a type and an offset.
  if (count > left() / 24) return fault("tensor_count", fmt::format("{} tensors do not fit the file", count));
  file.tensors_.reserve(std::min(count, kReserved));
  offsets_.reserve(std::min(count, kReserved));
  for (uint64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    RETORT_TRY(tensor.name, read_string(fmt::format("name of tensor {}", i)));
    std::string field = fmt::format("tensor {}", quoted(tensor.name));
    if (tensor.name.empty()) return fault(fmt::format("name of tensor {}", i), "is empty");
    RETORT_TRY(auto num_dims, read<uint32_t>(field));
    if (num_dims < 1 || num_dims > 4) return fault(field, fmt::format("has {} dimensions, expected 1 to 4", num_dims));
    tensor.num_dims = static_cast<int>(num_dims);
    uint64_t elements = 1;
    for (uint32_t d = 0; d < num_dims; ++d) {
      RETORT_TRY(auto dim, read<uint64_t>(field));
      if (dim < 1 || dim > kMaxDim || elements > kMaxDim / dim)
        return fault(field, fmt::format("dimension {} is {}, or the product of all is beyond 2^40", d, dim));
      elements *= dim;
      tensor.dims[d] = static_cast<int64_t>(dim);
    }
    RETORT_TRY(auto type, read<uint32_t>(field));
    std::optional<tensor::DType> dtype = tensor::dtype_from_id(type);
    if (!dtype) return fault(field, fmt::format("has type id {}, known are {}", type, tensor::dtype_names()));
    tensor.dtype = *dtype;
    int block = tensor::info(*dtype).block_elements;
    if (tensor.dims[0] % block != 0)
      return fault(field, fmt::format("has rows of {}, expected a multiple of {} for {}", tensor.dims[0], block,
                                      tensor::info(*dtype).name));
    RETORT_TRY(auto offset, read<uint64_t>(field));
    file.tensors_.push_back(tensor);
    offsets_.push_back(offset);
  }
  return {};
}

base::Status GgufParser::place_tensors(GgufFile& file, const std::vector<uint64_t>& offsets) {
  uint64_t alignment = 32;
  RETORT_TRY_STATUS(index(file));
  RETORT_TRY(std::optional<int64_t> wanted, file.integer("general.alignment"));
  if (wanted) {
    if (*wanted < 8 || *wanted > (1 << 20) || (*wanted & (*wanted - 1)) != 0)
      return base::fail(fmt::format("{}: metadata \"general.alignment\" is {}, expected a power of two from 8 to 2^20",
                                    name_, *wanted));
    alignment = static_cast<uint64_t>(*wanted);
  }
  if (file.tensors_.empty()) return {};
  auto aligned = [alignment](uint64_t position) { return (position + alignment - 1) / alignment * alignment; };
  uint64_t start = aligned(at_), end = start;
  for (size_t i = 0; i < offsets.size(); ++i) {
    GgufTensor& tensor = file.tensors_[i];
    auto bytes = static_cast<uint64_t>(tensor::row_bytes(tensor.dtype, tensor.num_elements()));
    if (offsets[i] % alignment != 0)
      return base::fail(fmt::format("{}: tensor {} has offset {}, expected a multiple of {}", name_,
                                    quoted(tensor.name), offsets[i], alignment));
    if (start > bytes_.size() || offsets[i] > bytes_.size() - start || bytes > bytes_.size() - start - offsets[i])
      return base::fail(
          fmt::format("{}: tensor {} needs {} bytes from byte {}, the file ends at {}: it is cut short or damaged",
                      name_, quoted(tensor.name), bytes, start + offsets[i], bytes_.size()));
    tensor.data = bytes_.subspan(start + offsets[i], bytes);
    end = std::max(end, aligned(start + offsets[i] + bytes));
  }
  if (end > bytes_.size())  // writers fill up the last tensor too: without this, such a cut would go unseen
    return base::fail(
        fmt::format("{}: the file ends at byte {}, within the padding of its last tensor up to {}: it is "
                    "cut short",
                    name_, bytes_.size(), end));
  return {};
}

base::Result<GgufFile> GgufParser::parse() {
  GgufFile file;
  file.path_ = name_;
  file.file_bytes_ = bytes_.size();
  RETORT_TRY(auto magic, read<uint32_t>("magic"));
  if (magic != kMagic) {
    at_ = 0;
    return fault("magic", fmt::format("is 0x{:08x}, expected \"GGUF\": not a GGUF file", magic));
  }
  RETORT_TRY(file.version_, read<uint32_t>("version"));
  if (file.version_ == 0x02000000 || file.version_ == 0x03000000)
    return fault("version", "the file is big-endian; only little-endian files are supported");
  if (file.version_ != 2 && file.version_ != 3)
    return fault("version", fmt::format("is {}, supported are 2 and 3: convert the file anew", file.version_));
  RETORT_TRY(auto tensor_count, read<uint64_t>("tensor_count"));
  RETORT_TRY(auto metadata_count, read<uint64_t>("metadata_kv_count"));
  RETORT_TRY_STATUS(read_metadata(file, metadata_count));
  RETORT_TRY_STATUS(read_tensors(file, tensor_count));
  RETORT_TRY_STATUS(place_tensors(file, offsets_));
  return file;
}

base::Status GgufParser::index(GgufFile& file) {
  auto sort = [&file](auto& order, const auto& items, const char* what, auto name) -> base::Status {
    order.resize(items.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return name(items[a]) < name(items[b]); });
    for (size_t i = 1; i < order.size(); ++i)
      if (name(items[order[i - 1]]) == name(items[order[i]]))
        return base::fail(fmt::format("{}: {} {} occurs twice", file.path_, what, quoted(name(items[order[i]]))));
    return {};
  };
  RETORT_TRY_STATUS(sort(file.metadata_order_, file.metadata_, "metadata key", [](const auto& e) { return e.key; }));
  return sort(file.tensor_order_, file.tensors_, "tensor", [](const auto& t) { return t.name; });
}

void GgufParser::append_part(GgufFile& whole, GgufFile part) {
  whole.tensors_.insert(whole.tensors_.end(), part.tensors_.begin(), part.tensors_.end());
  whole.file_bytes_ += part.file_bytes_;
  for (base::MappedFile& mapping : part.parts_) whole.parts_.push_back(std::move(mapping));
}

}  // namespace retort::formats
