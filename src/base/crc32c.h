// CRC-32C (Castagnoli, reflected 0x82f63b78): the checksum of checkpoints and of TensorBoard's event files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace retort::base {

/// The checksum of `bytes`; `previous` continues from what came before: crc32c(b, crc32c(a)) = crc32c(a then b).
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t previous = 0);

}  // namespace retort::base
