// Metrics of classification and of structured answers, as pure functions of what was expected and what came.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace retort::tasks {

/// One classified row: indices of labels, and the probability of the predicted one.
struct Choice {
  int32_t expected = 0, predicted = 0;
  double confidence = 0;
};

/// Share of rows whose prediction is right; 0 without rows, as all that follow.
double accuracy(std::span<const Choice> rows);

/// The unweighted mean of each label's F1 = 2 TP / (2 TP + FP + FN), over the labels that were expected or predicted at
/// least once, as scikit-learn counts them.
double macro_f1(std::span<const Choice> rows);

/// Expected calibration error: rows fall into `bins` bins of equal width by confidence, (0, 1/bins], (1/bins, 2/bins],
/// ...; the mean over rows of |accuracy - mean confidence| of their bin. Naeini et al. (2015), Guo et al. (2017).
double calibration_error(std::span<const Choice> rows, int bins = 15);

/// counts[expected * num_labels + predicted].
std::vector<int64_t> confusion(std::span<const Choice> rows, int32_t num_labels);

/// How many of one row's fields were found. A field is a value with its path in the object; a whole answer that is not
/// a JSON object has none.
struct FieldCounts {
  int64_t expected = 0, predicted = 0, matched = 0;
  bool valid = false;  // the answer is one JSON object and nothing else
  bool exact = false;  // and it equals the expected one, but for the order of its members
};

/// Compares an answer with the expected JSON object. Values match when they are equal as JSON: text by its code points,
/// numbers by value.
FieldCounts compare_fields(std::string_view expected, std::string_view answer);

/// F1 of all rows' fields together: 2 matched / (expected + predicted).
double field_f1(std::span<const FieldCounts> rows);

/// The mean; for shares of rows and for scores that are means over rows.
double mean(std::span<const double> values);

}  // namespace retort::tasks
