// ROUGE: how much of the words of a reference a summary shares. Lin, "ROUGE" (2004).
#pragma once

#include <string_view>

namespace retort::tasks {

/// F1 of precision and recall, each between 0 and 1; 0 where nothing is shared.
struct Rouge {
  double rouge1 = 0;   // shared words
  double rouge2 = 0;   // shared pairs of neighbouring words
  double rouge_l = 0;  // the longest common subsequence of words
};

/// Words are runs of [a-z0-9] after lower-casing A to Z; no stemming, no stop words: rouge_score's values with
/// use_stemmer=False. Letters beyond ASCII end a word, as there.
Rouge rouge(std::string_view reference, std::string_view answer);

}  // namespace retort::tasks
