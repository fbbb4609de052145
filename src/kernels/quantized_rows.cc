#include "base/check.h"
#include "kernels/kernels.h"

namespace retort::kernels {
namespace {

// Each array starts on a cache line of its own.
int64_t padded(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

int64_t QuantizedRows::bytes(int64_t rows, int64_t cols) {
  int64_t blocks = rows * (cols / kBlock);
  return padded(rows * cols) + 3 * padded(blocks * 4) + 2 * padded(blocks * 8);
}

QuantizedRows QuantizedRows::at(void* memory, int64_t rows, int64_t cols) {
  RETORT_CHECK(cols % kBlock == 0);
  int64_t blocks = rows * (cols / kBlock);
  auto* next = static_cast<std::byte*>(memory);
  auto take = [&next](int64_t bytes) {
    std::byte* start = next;
    next += padded(bytes);
    return static_cast<void*>(start);
  };
  QuantizedRows view;
  view.rows = rows;
  view.cols = cols;
  view.quants = static_cast<int8_t*>(take(rows * cols));
  view.scales = static_cast<float*>(take(blocks * 4));
  view.offsets32 = static_cast<int32_t*>(take(blocks * 4));
  view.sums32 = static_cast<float*>(take(blocks * 4));
  view.sums16 = static_cast<float*>(take(blocks * 8));
  view.offsets16 = static_cast<int32_t*>(take(blocks * 8));
  return view;
}

int64_t kv_row_bytes(KvType type, int64_t head_dim) {
  switch (type) {
    case KvType::kF32:
      return head_dim * 4;
    case KvType::kF16:
      return head_dim * 2;
    case KvType::kQ8_0:
      return tensor::row_bytes(tensor::DType::kQ8_0, head_dim);
  }
  return 0;
}

}  // namespace retort::kernels
