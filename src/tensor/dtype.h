// DType: how the numbers of a tensor are stored. The block-quantized types are those of the GGUF format, with its ids.
// Layouts: ggml's ggml-common.h (https://github.com/ggml-org/llama.cpp), restated in tensor/blocks.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace retort::tensor {

/// The value of each enumerator is the type's id in a GGUF file.
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

/// What a type looks like in memory: `block_elements` consecutive elements of a row take `block_bytes` bytes.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  // the field's name, as llama.cpp prints it: "Q4_K"
  int block_elements;     // 1 for plain types, 32 or 256 for quantized ones
  int block_bytes;
  bool quantized;
};

/// All supported types, in order of their GGUF ids.
inline constexpr DTypeInfo kDTypes[] = {
    {DType::kF32, "F32", 1, 4, false},        {DType::kF16, "F16", 1, 2, false},
    {DType::kQ4_0, "Q4_0", 32, 18, true},     {DType::kQ4_1, "Q4_1", 32, 20, true},
    {DType::kQ5_0, "Q5_0", 32, 22, true},     {DType::kQ5_1, "Q5_1", 32, 24, true},
    {DType::kQ8_0, "Q8_0", 32, 34, true},     {DType::kQ2_K, "Q2_K", 256, 84, true},
    {DType::kQ3_K, "Q3_K", 256, 110, true},   {DType::kQ4_K, "Q4_K", 256, 144, true},
    {DType::kQ5_K, "Q5_K", 256, 176, true},   {DType::kQ6_K, "Q6_K", 256, 210, true},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18, true}, {DType::kIQ4_XS, "IQ4_XS", 256, 136, true},
    {DType::kBF16, "BF16", 1, 2, false},
};

/// The description of a type.
constexpr const DTypeInfo& info(DType dtype) {
  for (const DTypeInfo& entry : kDTypes)
    if (entry.dtype == dtype) return entry;
  return kDTypes[0];  // unreachable: every enumerator is in the table
}

/// The type with this GGUF id, or nothing when Retort does not know it.
constexpr std::optional<DType> dtype_from_id(uint32_t id) {
  for (const DTypeInfo& entry : kDTypes)
    if (static_cast<uint32_t>(entry.dtype) == id) return entry.dtype;
  return std::nullopt;
}

/// The type with this name, upper or lower case, or nothing.
std::optional<DType> dtype_from_name(std::string_view name);

/// "F32, F16, Q4_0, ...": every known name, for messages.
std::string_view dtype_names();

/// Bytes of one row of `elements` elements; `elements` must be a multiple of the block size.
constexpr int64_t row_bytes(DType dtype, int64_t elements) {
  const DTypeInfo& i = info(dtype);
  return elements / i.block_elements * i.block_bytes;
}

}  // namespace retort::tensor
