// AMX's limits: products of 16 x 64 byte tiles. Four result tiles, because one product takes 16 cycles in a pipeline
// that starts one every 16 only when it does not wait for its own result.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace retort::kernels::amx {
namespace {

/// Tiles 0 to 7 of 16 rows by 64 bytes, all zero.
void configure() {
  struct alignas(64) {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config;
  std::memset(&config, 0, sizeof config);
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  asm volatile("" : : "r"(&config) : "memory");  // GCC's intrinsic names only the first word as its input
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

}  // namespace

int64_t roof_int8(int64_t rounds) {
  configure();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 64 * 2;
}

int64_t roof_bf16(int64_t rounds) {
  configure();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 32 * 2;
}

}  // namespace retort::kernels::amx
