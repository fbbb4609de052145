// Dataset: the rows of a file as training examples, with over-long ones handled as asked, and their order in batches.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "training/example.h"
#include "training/prompt_format.h"
#include "training/task_prompt.h"

namespace retort::training {

/// What to do with a row of more than max_tokens tokens.
enum class OverLong : uint8_t {
  kSkip,      // leave it out
  kTruncate,  // task rows: shorten the text at its end; conversations: drop the oldest tokens; the answer stays
  kStop,      // fail, naming the rows
};

/// "skip", "truncate", "stop".
base::Result<OverLong> parse_over_long(std::string_view name);

struct DatasetOptions {
  int64_t max_tokens = 1024;  // of an example
  OverLong over_long = OverLong::kTruncate;
};

struct Dataset {
  std::vector<Example> examples;                         // in the file's order
  std::vector<int64_t> skipped;                          // lines left out for their length
  std::vector<int64_t> truncated;                        // lines shortened
  int64_t num_tokens = 0, num_targets = 0, longest = 0;  // of the examples

  /// "4000 examples, 512,345 tokens, 12,345 of them learned, longest 412; 3 truncated (lines 7, 19, 30)".
  std::string summary() const;
};

/// The indices of all examples, and the examples of some indices.
std::vector<int64_t> all_of(const Dataset& dataset);
std::vector<const Example*> pick(const Dataset& dataset, std::span<const int64_t> examples);

/// Renders every row. A row that the template refuses is an error with file, line and the template's reason; so is a
/// set that is empty once over-long rows are left out.
base::Result<Dataset> make_dataset(const RowFile& file, const TaskPrompt& prompt, const PromptFormat& format,
                                   const DatasetOptions& options);

/// The prompt that asks for a row's answer in at most `max_tokens`, shortened as OverLong::kTruncate does. Fails when
/// the template refuses the row or when even an empty text is too long.
base::Result<std::vector<int32_t>> make_question(const Row& row, const TaskPrompt& prompt, const PromptFormat& format,
                                                 int64_t max_tokens);

struct BatchOptions {
  int64_t max_examples = 8;      // at least 1
  int64_t max_tokens = 1 << 20;  // of all examples together; a longer example is a batch of its own
  uint64_t seed = 0;
  bool shuffle = true;  // false: in the file's order
};

/// The batches of one epoch: indices of examples, each example once. Examples of like length meet in a batch; which do,
/// and the order of batches, depends on seed and epoch alone, on every machine.
std::vector<std::vector<int64_t>> plan_batches(std::span<const Example> examples, const BatchOptions& options,
                                               int64_t epoch);

}  // namespace retort::training
