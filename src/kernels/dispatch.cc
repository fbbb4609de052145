// Which instruction sets this machine has, and which table to use.
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/scalar/kernels_scalar.h"

#if defined(__aarch64__) || defined(RETORT_NEON_ON_X86)
#define RETORT_HAS_NEON
#include "kernels/neon/features.h"
#elif defined(__x86_64__)
#include "kernels/x86/features.h"
#endif

namespace retort::kernels {

#if defined(RETORT_HAS_NEON)
namespace neon {
extern const Kernels kTable;
}
namespace neon_dotprod {
extern const Kernels kTable;
}
namespace neon_i8mm {
extern const Kernels kTable;
}
namespace neon_bf16 {
extern const TrainingKernels kTraining;
void attention(const AttentionArgs& args);
}  // namespace neon_bf16
#elif defined(__x86_64__)
namespace sse4 {
extern const Kernels kTable;
}
namespace avx2 {
extern const Kernels kTable;
}
namespace avx2_vnni {
extern const Kernels kTable;
}
namespace avx512 {
extern const Kernels kTable;
extern const TrainingKernels kBfloatTraining;
void attention_bf16(const AttentionArgs& args);
}  // namespace avx512
#endif

namespace {

/// A table whose training and attention use bf16.
[[maybe_unused]] Kernels with_bf16(Kernels table, std::string_view name, const TrainingKernels& training,
                                   decltype(Kernels::attention) attention) {
  table.name = name;
  table.training = &training;
  table.attention = attention;
  return table;
}

std::vector<const Kernels*> find_available() {
  std::vector<const Kernels*> tables = {&scalar::kTable};
#if defined(RETORT_HAS_NEON)
  tables.push_back(&neon::kTable);  // part of every ARMv8-A processor that runs Linux
  if (has_dotprod()) {
    tables.push_back(&neon_dotprod::kTable);
    if (has_i8mm()) {
      tables.push_back(&neon_i8mm::kTable);
      if (has_bf16()) {
        static const Kernels bf16 =
            with_bf16(neon_i8mm::kTable, "neon_bf16", neon_bf16::kTraining, neon_bf16::attention);
        tables.push_back(&bf16);
      }
    }
  }
#elif defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3")) tables.push_back(&sse4::kTable);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()) {
    tables.push_back(&avx2::kTable);
    if (has_avx_vnni()) tables.push_back(&avx2_vnni::kTable);
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
    tables.push_back(&avx512::kTable);
    if (has_avx512_bf16()) {
      static const Kernels bf16 =
          with_bf16(avx512::kTable, "avx512_bf16", avx512::kBfloatTraining, avx512::attention_bf16);
      tables.push_back(&bf16);
    }
  }
#endif
  return tables;
}

struct Choice {
  const Kernels* kernels;
  std::string error;
};

Choice choose() {
  Choice choice{available().back(), {}};
  const char* wanted = std::getenv("RETORT_ISA");
  if (wanted == nullptr || *wanted == '\0') return choice;
  std::string names;
  for (const Kernels* table : available()) {
    if (table->name == wanted) return {table, {}};
    names += names.empty() ? "" : ", ";
    names += table->name;
  }
  choice.error = fmt::format("RETORT_ISA={}: unknown or not supported by this machine; it has {}", wanted, names);
  return choice;
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

std::span<const Kernels* const> available() {
  static const std::vector<const Kernels*> tables = find_available();
  return tables;
}

const Kernels& active() {
  return *choice().kernels;
}

std::string_view active_error() {
  return choice().error;
}

}  // namespace retort::kernels
