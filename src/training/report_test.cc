#include "training/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace retort::training;
using testing::HasSubstr;
using testing::Not;

namespace {

Report example() {
  Report report{"Tuning <x>", "Done & dusted.", {{"rank", "16"}}, {{"threads", "2"}}, {}, {{"a<b", "c", "\"d\""}}};
  for (int step = 1; step <= 5000; ++step)
    report.rows.push_back({step, 0, {{kLoss, 3 - step * 1e-4}, {kLearningRate, 1e-4}, {kTokensPerSecond, 500}}});
  report.rows.push_back({2500, 0, {{kValidationLoss, 2.6}, {"accuracy", 0.8}}});
  return report;
}

}  // namespace

TEST(Report, IsSelfContainedAndEscaped) {
  std::string html = to_html(example());
  EXPECT_THAT(html, HasSubstr("<h1>Tuning &lt;x&gt;</h1><p>Done &amp; dusted.</p>"));
  EXPECT_THAT(html, HasSubstr("<td>a&lt;b</td><td>c</td><td>&quot;d&quot;</td>"));
  EXPECT_THAT(html, HasSubstr("<th>rank</th><td>16</td>"));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme:dark"));
  for (const char* external : {"http:", "https:", "<script", "<link", "src=", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(external)));
}

TEST(Report, DrawsEveryCurveAndStaysSmall) {
  std::string html = to_html(example());
  for (const char* title : {"Loss", "accuracy (validation)", "Learning rate", "Tokens per second"})
    EXPECT_THAT(html, HasSubstr(std::string("<figcaption>") + title));
  EXPECT_THAT(html, Not(HasSubstr("<figcaption>Gradient norm")));
  EXPECT_THAT(html, HasSubstr("<title>step 2500: 2.6</title>"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_LT(html.size(), 100000u);
}

TEST(Report, StandsEmptyAndNonFiniteRuns) {
  Report report;
  EXPECT_THAT(to_html(report), Not(HasSubstr("<svg")));
  report.rows = {{1, 0, {{kLoss, std::nan("")}}}, {2, 0, {{kLoss, 1}}}};
  std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}
