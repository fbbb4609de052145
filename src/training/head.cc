#include "training/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "graph/ops/matmul.h"
#include "kernels/training.h"

namespace retort::training {
namespace {

constexpr int64_t kPassTokens = 512;

/// Standardized features with their labels, row by row.
struct Samples {
  std::vector<float> features;
  std::vector<int64_t> labels;
};

Samples pick(const Samples& all, int64_t width, std::span<const int64_t> rows) {
  Samples some;
  for (int64_t row : rows) {
    const float* from = all.features.data() + row * width;
    some.features.insert(some.features.end(), from, from + width);
    some.labels.push_back(all.labels[static_cast<size_t>(row)]);
  }
  return some;
}

/// Full-batch Adam on the mean cross-entropy plus penalty / 2 |weight|^2.
void fit(graph::Workspace& workspace, const Samples& samples, double penalty, int iterations, Head& head) {
  auto count = static_cast<int64_t>(samples.labels.size()), classes = static_cast<int64_t>(head.labels.size());
  int64_t width = head.num_features;
  head.weight.assign(static_cast<size_t>(classes * width), 0);
  head.bias.assign(static_cast<size_t>(classes), 0);
  std::vector<float> scores(static_cast<size_t>(count * classes)), gradient(head.weight.size());
  std::vector<double> first(head.weight.size() + head.bias.size()), second(first.size());
  graph::Graph graph(workspace);
  for (int step = 1; step <= iterations; ++step) {
    graph::matmul(graph, {samples.features.data(), count, width},
                  graph::Factor{head.weight.data(), classes, width, true}, scores.data(), false);
    std::vector<double> bias_gradient(head.bias.size());
    for (int64_t i = 0; i < count; ++i) {
      float* row = scores.data() + i * classes;
      for (int64_t c = 0; c < classes; ++c) row[c] += head.bias[static_cast<size_t>(c)];
      graph.kernels().training->softmax(row, 1, row, classes);
      row[samples.labels[static_cast<size_t>(i)]] -= 1;
      for (int64_t c = 0; c < classes; ++c) bias_gradient[static_cast<size_t>(c)] += row[c];
    }
    graph::matmul(graph, {scores.data(), count, classes, true}, graph::Factor{samples.features.data(), count, width},
                  gradient.data(), false);
    double rate = 0.02 * std::min(1.0, 2.0 * (iterations - step + 1) / iterations);
    double correct1 = 1 - std::pow(0.9, step), correct2 = 1 - std::pow(0.999, step);
    auto update = [&](float& value, double slope, size_t at) {
      first[at] = 0.9 * first[at] + 0.1 * slope;
      second[at] = 0.999 * second[at] + 0.001 * slope * slope;
      value -= static_cast<float>(rate * first[at] / correct1 / (std::sqrt(second[at] / correct2) + 1e-8));
    };
    for (size_t i = 0; i < head.weight.size(); ++i)
      update(head.weight[i], gradient[i] / static_cast<double>(count) + penalty * head.weight[i], i);
    for (size_t i = 0; i < head.bias.size(); ++i)
      update(head.bias[i], bias_gradient[i] / static_cast<double>(count), head.weight.size() + i);
  }
}

/// Mean cross-entropy.
double loss_of(const Samples& samples, Head head) {
  head.mean.assign(static_cast<size_t>(head.num_features), 0);  // the samples are standardized already
  head.scale.assign(static_cast<size_t>(head.num_features), 1);
  double sum = 0;
  for (size_t i = 0; i < samples.labels.size(); ++i) {
    std::span<const float> row(samples.features.data() + static_cast<int64_t>(i) * head.num_features,
                               static_cast<size_t>(head.num_features));
    sum -= std::log(std::max(1e-30, head.probabilities(row)[static_cast<size_t>(samples.labels[i])]));
  }
  return sum / static_cast<double>(samples.labels.size());
}

void standardize(Samples& samples, Head& head) {
  auto count = static_cast<int64_t>(samples.labels.size());
  int64_t width = head.num_features;
  head.mean.resize(static_cast<size_t>(width));
  head.scale.resize(static_cast<size_t>(width));
  for (int64_t j = 0; j < width; ++j) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; ++i) {
      double x = samples.features[static_cast<size_t>(i * width + j)];
      sum += x;
      squares += x * x;
    }
    double mean = sum / static_cast<double>(count);
    double deviation = std::sqrt(std::max(0.0, squares / static_cast<double>(count) - mean * mean));
    head.mean[static_cast<size_t>(j)] = static_cast<float>(mean);
    head.scale[static_cast<size_t>(j)] = deviation > 1e-6 ? static_cast<float>(1 / deviation) : 0;
    for (int64_t i = 0; i < count; ++i) {
      float& x = samples.features[static_cast<size_t>(i * width + j)];
      x = (x - head.mean[static_cast<size_t>(j)]) * head.scale[static_cast<size_t>(j)];
    }
  }
}

}  // namespace

std::vector<double> Head::probabilities(std::span<const float> features) const {
  std::vector<double> scores(labels.size());
  for (size_t c = 0; c < labels.size(); ++c) {
    double sum = bias[c];
    for (size_t j = 0; j < features.size(); ++j)
      sum += static_cast<double>((features[j] - mean[j]) * scale[j]) * weight[c * features.size() + j];
    scores[c] = sum;
  }
  double largest = *std::max_element(scores.begin(), scores.end()), total = 0;
  for (double& s : scores) total += s = std::exp(s - largest);
  for (double& s : scores) s /= total;
  return scores;
}

std::vector<float> text_features(const models::LanguageModel& model, const text::Tokenizer& tokenizer,
                                 graph::Workspace& workspace, std::span<const std::string> texts, int64_t max_tokens,
                                 const std::function<void(int64_t done)>& on_progress) {
  int64_t dim = model.hyperparameters().model_dim;
  std::vector<float> features(texts.size() * static_cast<size_t>(2 * dim));
  size_t next = 0;
  while (next < texts.size()) {
    std::vector<int32_t> tokens;
    std::vector<graph::Segment> segments;
    size_t first = next;
    for (; next < texts.size(); ++next) {
      std::vector<int32_t> ids = tokenizer.encode(texts[next]);
      if (ids.empty()) ids.push_back(0);
      if (static_cast<int64_t>(ids.size()) > max_tokens) ids.resize(static_cast<size_t>(max_tokens));
      if (!tokens.empty() && static_cast<int64_t>(tokens.size() + ids.size()) > kPassTokens) break;
      segments.push_back({static_cast<int64_t>(tokens.size()), static_cast<int64_t>(ids.size()), 0, nullptr});
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
    std::vector<int64_t> all(tokens.size());
    std::iota(all.begin(), all.end(), 0);
    graph::Graph graph(workspace);
    graph::Var hidden = model.hidden(graph, {tokens, segments, all});
    for (size_t i = 0; i < segments.size(); ++i) {
      float* out = features.data() + static_cast<int64_t>(first + i) * 2 * dim;
      const graph::Segment& segment = segments[i];
      for (int64_t row = segment.first_row; row < segment.first_row + segment.num_rows; ++row)
        graph.kernels().add(out, hidden.row(row), out, dim);
      graph.kernels().scale(out, 1 / static_cast<float>(segment.num_rows), out, dim);
      const float* last = hidden.row(segment.first_row + segment.num_rows - 1);
      std::copy(last, last + dim, out + dim);
    }
    if (on_progress) on_progress(static_cast<int64_t>(next));
  }
  return features;
}

base::Result<Head> fit_head(const models::LanguageModel& model, const formats::GgufFile& file,
                            const text::Tokenizer& tokenizer, graph::Workspace& workspace, const RowFile& rows,
                            const HeadOptions& options, const std::function<void(int64_t done)>& on_progress) {
  Head head;
  head.base = formats::base_identity(file);
  head.labels = distinct_answers(rows.rows);
  head.max_tokens = options.max_tokens;
  head.num_features = 2 * model.hyperparameters().model_dim;
  if (head.labels.size() < 2)
    return base::fail(
        fmt::format("{}: a classifier needs at least two labels, the rows have {}", rows.path, head.labels.size()));
  std::vector<std::string> texts;
  Samples samples;
  for (const Row& row : rows.rows) {
    texts.push_back(row.text);
    samples.labels.push_back(std::lower_bound(head.labels.begin(), head.labels.end(), row.answer) -
                             head.labels.begin());
  }
  samples.features = text_features(model, tokenizer, workspace, texts, options.max_tokens, on_progress);
  standardize(samples, head);

  std::vector<int64_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  base::Random random(options.seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  size_t held = std::max<size_t>(1, order.size() / 10);
  Samples test = pick(samples, head.num_features, std::span(order).first(held));
  Samples rest = pick(samples, head.num_features, std::span(order).subspan(held));
  double best = INFINITY, chosen = 0.01;
  if (!rest.labels.empty())
    for (double penalty : {1e-3, 1e-2, 3e-2, 1e-1, 3e-1}) {
      fit(workspace, rest, penalty, options.iterations, head);
      double loss = loss_of(test, head);
      if (loss < best) best = loss, chosen = penalty;
    }
  fit(workspace, samples, chosen, options.iterations, head);
  return head;
}

}  // namespace retort::training
