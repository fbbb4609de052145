// Kernels: the arithmetic of a forward pass as pure functions on pointers and sizes, one table of them per instruction
// set. No kernel allocates, locks or starts threads; callers split the work (rows, heads) and pass each thread its
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/dtype.h"

namespace retort::kernels {

/// Rows of activations in 8 bits, the common input of every quantized weight type: each block of 32 consecutive values
/// has one fp32 scale (its largest magnitude / 127), and sums that let weight types with a minimum or an offset skip
/// the multiplication by it. A view: the memory belongs to the caller.
struct QuantizedRows {
  static constexpr int64_t kBlock = 32;

  int64_t rows = 0;
  int64_t cols = 0;              // a multiple of 32
  int8_t* quants = nullptr;      // (rows, cols), in [-127, 127]
  float* scales = nullptr;       // (rows, cols / 32)
  float* sums32 = nullptr;       // (rows, cols / 32): scale x sum of the quants
  float* sums16 = nullptr;       // (rows, cols / 16): the same of each half block
  int32_t* offsets32 = nullptr;  // (rows, cols / 32): -128 x sum of the quants of a block
  int32_t* offsets16 = nullptr;  // (rows, cols / 16): the same of each half block

  /// Bytes of memory that `rows` rows of `cols` values take, and the view on such memory (64-byte aligned).
  static int64_t bytes(int64_t rows, int64_t cols);
  static QuantizedRows at(void* memory, int64_t rows, int64_t cols);
};

/// output[token][row] = sum over k of weights[row][k] * input[token][k] (+ bias[row]), for row_begin <= row < row_end.
struct LinearArgs {
  tensor::DType dtype = tensor::DType::kF32;
  const std::byte* weights = nullptr;  // (out_features, in_features) in the file's own block layout
  int64_t in_features = 0;
  int64_t row_begin = 0, row_end = 0;
  int64_t num_tokens = 0;
  const float* input = nullptr;  // (tokens, input_stride), read by F32, F16 and BF16 weights
  int64_t input_stride = 0;
  const QuantizedRows* quantized = nullptr;  // (tokens, in_features), read by quantized weights
  const float* bias = nullptr;               // (out_features) or null
  float* output = nullptr;                   // (tokens, output_stride)
  int64_t output_stride = 0;
  std::byte* scratch = nullptr;  // linear_scratch_bytes() of the calling thread's own, 64-byte aligned
  /// Weights may be rounded once more on their way to 8 bits, where that is faster for many tokens: each by at most
  /// 1/127 of the largest magnitude that the scales of its 128 neighbours allow, the same however tokens are divided
  /// between calls. Otherwise products with weights are exact.
  bool may_round = false;
};

/// How keys and values are kept.
enum class KvType : uint8_t { kF32, kF16, kQ8_0 };

/// Bytes of one head's key or value of `head_dim` numbers (q8_0: a multiple of 32, in blocks of Q8_0).
int64_t kv_row_bytes(KvType type, int64_t head_dim);

/// Causal attention of some queries of one sequence over its keys 0 .. position, for query heads of kv heads
/// kv_head_begin <= h < kv_head_end. Query i sits at position first_position + i and sees keys j with
/// position - window < j <= position (window 0: all). output = softmax(scale * q k^T) v.
struct AttentionArgs {
  static constexpr int64_t kMaxQueries = 32;

  int64_t query_begin = 0, query_end = 0;  // the queries to compute, counted within the segment; at most kMaxQueries
  int64_t first_position = 0;
  int64_t window = 0;
  int num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int kv_head_begin = 0, kv_head_end = 0;
  float scale = 1;
  const float* queries = nullptr;  // (queries, query_stride), head h at h * head_dim
  int64_t query_stride = 0;
  KvType type = KvType::kF32;
  const std::byte* keys = nullptr;  // key of kv head h at position p: keys + h * head_stride + p * position_stride
  const std::byte* values = nullptr;
  int64_t head_stride = 0, position_stride = 0;  // bytes
  float* output = nullptr;                       // (queries, output_stride), head h at h * head_dim
  int64_t output_stride = 0;
  std::byte* scratch = nullptr;  // attention_scratch_bytes() of the calling thread's own, 64-byte aligned
  /// Only keys key_begin <= j < key_end, so that threads can share a long past. log_sums, unless null, gets the
  /// logarithm of each sum of exponentials, (queries, num_heads), by which such parts are put together; a part
  /// without keys has output 0 and minus infinity.
  int64_t key_begin = 0, key_end = INT64_MAX;
  float* log_sums = nullptr;
  /// The softmax's weights and the values may be multiplied in bf16, where that is faster.
  bool may_round = false;
  /// Beside may_round: queries and keys, too.
  bool may_round_scores = false;
};

enum class Activation : uint8_t { kSilu, kGeluTanh };

/// Which two elements of a head rotate together: neighbours (2i, 2i+1), as in llama's GGUF files, or halves
/// (i, i + head_dim/2), as in the GPT-NeoX family.
enum class RopeLayout : uint8_t { kInterleaved, kHalves };

struct TrainingKernels;  // training.h

/// One instruction set's kernels. Every table is complete; sizes may be zero; buffers need no alignment unless stated.
struct Kernels {
  std::string_view name;  // what RETORT_ISA calls it

  /// Quantizes rows [row_begin, row_end) of x (rows, stride) into `out`. NaN becomes 0; the scale of an infinite block
  /// is infinite.
  void (*quantize_rows)(const float* x, int64_t stride, const QuantizedRows& out, int64_t row_begin, int64_t row_end);
  void (*linear)(const LinearArgs& args);
  int64_t (*linear_scratch_bytes)(tensor::DType dtype, int64_t in_features, int64_t num_tokens);
  /// Weight rows that one call should be given at least, so that tiles stay whole.
  int64_t (*linear_row_grain)(tensor::DType dtype, int64_t num_tokens);

  void (*attention)(const AttentionArgs& args);
  int64_t (*attention_scratch_bytes)(int head_dim, int heads_per_kv_head);
  /// Stores n floats as one row of a KV cache.
  void (*store_kv)(KvType type, const float* x, std::byte* out, int64_t n);

  /// out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. In place is allowed.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, float* out, int64_t n);
  /// Rotates one head of n elements by the angles whose cosines and sines (n / 2 each) are given. In place is allowed.
  void (*rope)(RopeLayout layout, const float* x, const float* cosines, const float* sines, float* out, int64_t n);
  /// out = activation(gate) * up, element by element. In place is allowed.
  void (*gated)(Activation activation, const float* gate, const float* up, float* out, int64_t n);
  void (*add)(const float* a, const float* b, float* out, int64_t n);
  void (*scale)(const float* x, float factor, float* out, int64_t n);
  /// One row of any type as floats.
  void (*dequantize_row)(tensor::DType dtype, const void* row, float* out, int64_t n);
  const TrainingKernels* training;
};

/// The best table this machine can run, or the one that RETORT_ISA names. Chosen once. An unknown or unsupported name
/// is reported by active_error(), and the best is used.
const Kernels& active();

/// Empty, or why RETORT_ISA could not be obeyed: for main() to print and refuse to start.
std::string_view active_error();

/// Every table this machine can run, the scalar reference first. For tests and benchmarks.
std::span<const Kernels* const> available();

}  // namespace retort::kernels
