#include "training/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace retort::training {
namespace {

int64_t length_of(const std::vector<int32_t>& tokens) {
  return static_cast<int64_t>(tokens.size());
}

/// The row with its text cut to about `bytes`, at a character's and if possible a word's end.
Row with_text(const Row& row, size_t bytes) {
  Row cut = row;
  if (bytes >= row.text.size()) return cut;
  while (bytes > 0 && (static_cast<unsigned char>(row.text[bytes]) & 0xc0) == 0x80) --bytes;
  size_t space = row.text.find_last_of(" \n\t", bytes);
  constexpr size_t kWord = 24;
  if (space != std::string::npos && bytes - space < kWord) bytes = space;
  cut.text.resize(bytes);
  return cut;
}

/// The longest start of the row's text with which `tokens_of` stays within the limit; nothing when none does.
base::Result<std::optional<Row>> shorten(const Row& row, int64_t limit,
                                         const std::function<base::Result<int64_t>(const Row&)>& tokens_of) {
  size_t low = 0, high = row.text.size();  // low fits, high does not
  Row best = with_text(row, 0);
  RETORT_TRY(int64_t least, tokens_of(best));
  if (least > limit) return std::optional<Row>();
  constexpr size_t kPrecision = 8;  // bytes: about two tokens
  while (high - low > kPrecision) {
    size_t middle = low + (high - low) / 2;
    Row cut = with_text(row, middle);
    RETORT_TRY(int64_t tokens, tokens_of(cut));
    if (tokens <= limit) {
      low = middle;
      best = std::move(cut);
    } else {
      high = middle;
    }
  }
  return std::optional<Row>(std::move(best));
}

/// Keeps the last `limit` tokens up to the end of the last answer; where that answer alone is more, its beginning.
void keep_end(Example& example, int64_t limit) {
  const std::vector<float>& weights = example.loss_weights;
  auto counts = [](float weight) { return weight != 0; };
  auto last = std::find_if(weights.rbegin(), weights.rend(), counts);
  auto first = std::find_if_not(last, weights.rend(), counts);
  int64_t end = weights.rend() - last, answer = weights.rend() - first;
  // At least one token of the prompt stays: the answer's first token is predicted from it.
  int64_t begin = std::min(std::max<int64_t>(0, end - limit), std::max<int64_t>(0, answer - 1));
  end = std::min(begin + limit, end);
  auto cut = [&](auto& values) {
    values.erase(values.begin() + end, values.end());
    values.erase(values.begin(), values.begin() + begin);
  };
  cut(example.tokens);
  cut(example.loss_weights);
  if (!example.tokens.empty()) example.loss_weights[0] = 0;  // of an earlier answer that is cut: nothing is before it
}

std::string lines(const std::vector<int64_t>& lines) {
  constexpr size_t kShown = 5;
  std::span<const int64_t> shown(lines.data(), std::min(kShown, lines.size()));
  return fmt::format("line{} {}{}", lines.size() == 1 ? "" : "s", fmt::join(shown, ", "),
                     lines.size() > kShown ? ", ..." : "");
}

base::Error located(const RowFile& file, const Row& row, const base::Error& error) {
  return {fmt::format("{}:{}: {}", file.path, row.line, error.message)};
}

/// The row's examples, and whether it was shortened; none when it has no way to fit.
struct Fitted {
  std::vector<Example> examples;
  bool too_long = false;
};

base::Result<Fitted> fit(const Row& row, const TaskPrompt& prompt, const PromptFormat& format,
                         const DatasetOptions& options) {
  Fitted fitted;
  RETORT_TRY(fitted.examples, format.examples(prompt.solved(row)));
  auto longest = [](const std::vector<Example>& examples) {
    int64_t most = 0;
    for (const Example& example : examples) most = std::max(most, length_of(example.tokens));
    return most;
  };
  fitted.too_long = longest(fitted.examples) > options.max_tokens;
  if (!fitted.too_long || options.over_long != OverLong::kTruncate) return fitted;
  if (row.chat.messages.empty() && prompt.kind() != TaskKind::kChat) {
    auto tokens_of = [&](const Row& cut) -> base::Result<int64_t> {
      RETORT_TRY(std::vector<Example> examples, format.examples(prompt.solved(cut)));
      return longest(examples);
    };
    RETORT_TRY(std::optional<Row> cut, shorten(row, options.max_tokens, tokens_of));
    if (cut) {
      RETORT_TRY(fitted.examples, format.examples(prompt.solved(*cut)));
      return fitted;
    }
  }
  for (Example& example : fitted.examples) keep_end(example, options.max_tokens);
  return fitted;
}

}  // namespace

base::Result<OverLong> parse_over_long(std::string_view name) {
  if (name == "skip") return OverLong::kSkip;
  if (name == "truncate") return OverLong::kTruncate;
  if (name == "stop") return OverLong::kStop;
  return base::fail(fmt::format("over-long rows: expected skip, truncate or stop, got \"{}\"", name));
}

std::vector<int64_t> all_of(const Dataset& dataset) {
  std::vector<int64_t> order(dataset.examples.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<const Example*> pick(const Dataset& dataset, std::span<const int64_t> examples) {
  std::vector<const Example*> all;
  all.reserve(examples.size());
  for (int64_t index : examples) all.push_back(&dataset.examples[static_cast<size_t>(index)]);
  return all;
}

std::string Dataset::summary() const {
  std::string text = fmt::format("{} examples, {} tokens, {} of them learned, longest {}", examples.size(), num_tokens,
                                 num_targets, longest);
  if (!truncated.empty()) text += fmt::format("; {} truncated ({})", truncated.size(), lines(truncated));
  if (!skipped.empty()) text += fmt::format("; {} skipped as too long ({})", skipped.size(), lines(skipped));
  return text;
}

base::Result<Dataset> make_dataset(const RowFile& file, const TaskPrompt& prompt, const PromptFormat& format,
                                   const DatasetOptions& options) {
  constexpr int64_t kLeast = 2;  // one to predict from, one to predict
  if (options.max_tokens < kLeast)
    return base::fail(fmt::format("examples of at most {} tokens: expected at least {}", options.max_tokens, kLeast));
  Dataset dataset;
  for (const Row& row : file.rows) {
    base::Result<Fitted> fitted = fit(row, prompt, format, options);
    if (!fitted) return tl::unexpected(located(file, row, fitted.error()));
    if (fitted->too_long) {
      (options.over_long == OverLong::kTruncate ? dataset.truncated : dataset.skipped).push_back(row.line);
      if (options.over_long != OverLong::kTruncate) continue;
    }
    for (Example& example : fitted->examples) {
      if (example.num_targets() == 0) continue;
      example.line = row.line;
      dataset.num_tokens += length_of(example.tokens);
      dataset.num_targets += example.num_targets();
      dataset.longest = std::max(dataset.longest, length_of(example.tokens));
      dataset.examples.push_back(std::move(example));
    }
  }
  if (options.over_long == OverLong::kStop && !dataset.skipped.empty())
    return base::fail(
        fmt::format("{}: {} of {} rows have more than {} tokens ({}): allow more tokens, or have them "
                    "skipped or truncated",
                    file.path, dataset.skipped.size(), file.rows.size(), options.max_tokens, lines(dataset.skipped)));
  if (dataset.examples.empty())
    return base::fail(
        fmt::format("{}: no row fits {} tokens: allow more, or have rows truncated", file.path, options.max_tokens));
  return dataset;
}

base::Result<std::vector<int32_t>> make_question(const Row& row, const TaskPrompt& prompt, const PromptFormat& format,
                                                 int64_t max_tokens) {
  RETORT_TRY(std::vector<int32_t> tokens, format.prompt(prompt.question(row)));
  if (length_of(tokens) <= max_tokens) return tokens;
  if (!row.chat.messages.empty() || prompt.kind() == TaskKind::kChat) {
    if (max_tokens < 1)
      return base::fail(fmt::format("a prompt of at most {} tokens: expected at least 1", max_tokens));
    tokens.erase(tokens.begin(), tokens.end() - max_tokens);
    return tokens;
  }
  auto tokens_of = [&](const Row& cut) -> base::Result<int64_t> {
    RETORT_TRY(std::vector<int32_t> asked, format.prompt(prompt.question(cut)));
    return length_of(asked);
  };
  RETORT_TRY(std::optional<Row> cut, shorten(row, max_tokens, tokens_of));
  if (!cut)
    return base::fail(
        fmt::format("the prompt without any text has more than {} tokens: shorten the instruction, show "
                    "fewer examples or choose a larger context",
                    max_tokens));
  return format.prompt(prompt.question(*cut));
}

std::vector<std::vector<int64_t>> plan_batches(std::span<const Example> examples, const BatchOptions& options,
                                               int64_t epoch) {
  RETORT_CHECK(options.max_examples >= 1);
  base::Random random(options.seed * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(epoch) + 1);
  auto shuffle = [&](auto& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
  };
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) shuffle(order);
  auto tokens_of = [&](int64_t index) { return length_of(examples[static_cast<size_t>(index)].tokens); };
  // Sorted within windows of many batches: lengths match, while chance still decides who meets whom.
  constexpr int64_t kBatchesInWindow = 32;
  auto window = static_cast<size_t>(std::min<int64_t>(options.max_examples, 1 << 20) * kBatchesInWindow);
  std::vector<std::vector<int64_t>> batches;
  for (size_t begin = 0; begin < order.size(); begin += window) {
    auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
    auto last = order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + window, order.size()));
    if (options.shuffle)
      std::stable_sort(first, last, [&](int64_t a, int64_t b) { return tokens_of(a) < tokens_of(b); });
    int64_t tokens = 0;
    bool open = false;
    for (auto at = first; at != last; ++at) {
      if (!open || static_cast<int64_t>(batches.back().size()) >= options.max_examples ||
          tokens + tokens_of(*at) > options.max_tokens) {
        batches.emplace_back();
        tokens = 0;
        open = true;
      }
      batches.back().push_back(*at);
      tokens += tokens_of(*at);
    }
  }
  if (options.shuffle) shuffle(batches);
  return batches;
}

}  // namespace retort::training
