// Head: a linear classifier on what a frozen model makes of a text: features once at prefill speed, then seconds to
// fit.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/adapter.h"
#include "formats/gguf.h"
#include "graph/graph.h"
#include "models/language_model.h"
#include "text/tokenizer.h"
#include "training/rows.h"

namespace retort::training {

/// Multinomial logistic regression over standardized features. Plain data.
struct Head {
  formats::BaseIdentity base;       // the model whose features it reads
  std::vector<std::string> labels;  // sorted
  int64_t max_tokens = 256;         // of a text; the rest is not read
  int64_t num_features = 0;
  std::vector<float> mean, scale;  // (features): a feature is (x - mean) * scale
  std::vector<float> weight;       // (labels, features)
  std::vector<float> bias;         // (labels)

  /// One probability for each label, from the features of a text.
  std::vector<double> probabilities(std::span<const float> features) const;
};

/// Two vectors of model_dim for each text, one after the other: the mean of the last hidden states over its tokens, and
/// that of its last token. Texts are taken as they are, without a chat template. `on_progress` gets the texts done.
std::vector<float> text_features(const models::LanguageModel& model, const text::Tokenizer& tokenizer,
                                 graph::Workspace& workspace, std::span<const std::string> texts, int64_t max_tokens,
                                 const std::function<void(int64_t done)>& on_progress = {});

struct HeadOptions {
  int64_t max_tokens = 256;
  int iterations = 300;
  uint64_t seed = 0;  // of the tenth of the rows on which the strength of the penalty is chosen
};

/// Fits rows of {"text", "label"}. Fails when they have fewer than two labels.
base::Result<Head> fit_head(const models::LanguageModel& model, const formats::GgufFile& file,
                            const text::Tokenizer& tokenizer, graph::Workspace& workspace, const RowFile& rows,
                            const HeadOptions& options, const std::function<void(int64_t done)>& on_progress = {});

/// A GGUF file with general.type "classifier"; written atomically.
base::Status write_head(const Head& head, const std::string& path);
/// Fails, saying what is wrong, when the file is not such a head or its parts do not fit each other.
base::Result<Head> read_head(const std::string& path);

}  // namespace retort::training
