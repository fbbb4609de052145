#include "training/report.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/atomic_file.h"

namespace retort::training {
namespace {

std::string escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

struct Point {
  double x, y;
};

std::vector<Point> curve(const std::vector<LogRow>& rows, const char* name) {
  std::vector<Point> points;
  for (const LogRow& row : rows)
    if (double value = row.value(name); std::isfinite(value)) points.push_back({static_cast<double>(row.step), value});
  return points;
}

/// Means of neighbouring points, so that a long run stays a small page.
std::vector<Point> thin(const std::vector<Point>& points, size_t limit) {
  if (points.size() <= limit) return points;
  std::vector<Point> kept;
  for (size_t i = 0; i < limit; ++i) {
    size_t begin = i * points.size() / limit, end = (i + 1) * points.size() / limit;
    Point mean{0, 0};
    for (size_t j = begin; j < end; ++j) mean.x += points[j].x, mean.y += points[j].y;
    auto count = static_cast<double>(end - begin);
    kept.push_back({mean.x / count, mean.y / count});
  }
  return kept;
}

/// Running mean, where single steps are too noisy to see the trend.
std::vector<Point> smooth(const std::vector<Point>& points) {
  std::vector<Point> out;
  double mean = 0, weight = 0;
  for (const Point& p : points) {
    mean = 0.9 * mean + 0.1 * p.y;
    weight = 0.9 * weight + 0.1;
    out.push_back({p.x, mean / weight});
  }
  return out;
}

struct Line {
  std::string label, css;
  std::vector<Point> points;
  bool dots = false;
};

/// 1, 2 or 5 times a power of ten, so that about `count` of them make up `range`.
double tick_distance(double range, int count) {
  double raw = range / count, power = std::pow(10.0, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

std::string chart(const std::string& title, const std::vector<Line>& lines) {
  double left = 1e300, right = -1e300, low = 1e300, high = -1e300;
  for (const Line& line : lines)
    for (const Point& p : line.points) {
      left = std::min(left, p.x), right = std::max(right, p.x);
      low = std::min(low, p.y), high = std::max(high, p.y);
    }
  if (!(left <= right)) return "";
  if (right == left) right = left + 1;
  double room = high > low ? 0.06 * (high - low) : std::max(std::abs(high) * 0.1, 1e-9);
  low -= room, high += room;
  constexpr double kWidth = 640, kHeight = 240, kLeft = 64, kBottom = 28, kTop = 8, kRight = 10;
  auto x_of = [&](double x) { return kLeft + (x - left) / (right - left) * (kWidth - kLeft - kRight); };
  auto y_of = [&](double y) { return kHeight - kBottom - (y - low) / (high - low) * (kHeight - kBottom - kTop); };
  std::string svg = fmt::format("<figure><figcaption>{}", escape(title));
  for (const Line& line : lines)
    if (!line.label.empty()) svg += fmt::format(" <span class=\"key {}\">{}</span>", line.css, escape(line.label));
  svg += fmt::format("</figcaption><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", kWidth, kHeight,
                     escape(title));
  double distance = tick_distance(high - low, 4);
  for (double tick = std::ceil(low / distance) * distance; tick <= high; tick += distance)
    svg += fmt::format(
        "<path class=\"grid\" d=\"M{:.0f} {:.1f}H{:.0f}\"/><text x=\"{:.0f}\" y=\"{:.1f}\" class=\"end\">"
        "{:.4g}</text>",
        kLeft, y_of(tick), kWidth - kRight, kLeft - 6, y_of(tick) + 4, std::abs(tick) < distance * 1e-6 ? 0 : tick);
  distance = std::max(tick_distance(right - left, 6), 1.0);
  for (double tick = std::ceil(left / distance) * distance; tick <= right; tick += distance)
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" class=\"middle\">{:.6g}</text>", x_of(tick), kHeight - 8, tick);
  for (const Line& line : lines) {
    std::string path;
    for (const Point& p : line.points)
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x_of(p.x), y_of(p.y));
    svg += fmt::format("<path class=\"line {}\" d=\"{}\"/>", line.css, path);
    if (line.dots)
      for (const Point& p : line.points)
        svg += fmt::format(
            "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>step {:.0f}: {:.5g}</title>"
            "</circle>",
            line.css, x_of(p.x), y_of(p.y), p.x, p.y);
  }
  return svg + "</svg></figure>\n";
}

std::string table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
  if (rows.empty()) return "";
  std::string html = fmt::format("<h2>{}</h2><table>", escape(title));
  for (const auto& [name, value] : rows)
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value));
  return html + "</table>\n";
}

constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--text:#1c1e21;--soft:#667;--back:#fff;--card:#f6f7f9;--grid:#dde;--a:#2962c8;--b:#c8502a}
@media(prefers-color-scheme:dark){:root{--text:#e6e7ea;--soft:#9aa;--back:#15171a;--card:#1f2226;--grid:#343a42;--a:#7db0ff;--b:#ff9a70}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:1080px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.1em;margin-top:2em}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:1em}
figure{margin:0;background:var(--card);border-radius:8px;padding:10px}figcaption{font-weight:600}
svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--soft)}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--grid)}.line{fill:none;stroke-width:2}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}
.line.faint{stroke:var(--a);opacity:.3;stroke-width:1}circle.b{fill:var(--b)}
.key{font-weight:400;font-size:.85em;margin-left:1em}.key.a,.key.faint{color:var(--a)}.key.b{color:var(--b)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-bottom:1px solid var(--grid)}
th{font-weight:500;white-space:nowrap}td{white-space:pre-wrap;overflow-wrap:anywhere}
)css";

std::string first_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      if (size_t colon = line.find(':'); colon != std::string::npos) {
        size_t begin = line.find_first_not_of(" \t", colon + 1);
        return begin == std::string::npos ? "" : line.substr(begin);
      }
  return "unknown";
}

}  // namespace

std::string to_html(const Report& report) {
  constexpr size_t kMaxPoints = 600;
  std::string html = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n";
  html += fmt::format("<title>{}</title><style>{}</style>\n<h1>{}</h1><p>{}</p>\n<div class=\"charts\">",
                      escape(report.title), kStyle, escape(report.title), escape(report.summary));
  auto loss = curve(report.rows, kLoss);
  html += chart("Loss", {{"each step", "faint", thin(loss, kMaxPoints)},
                         {"running mean", "a", thin(smooth(loss), kMaxPoints)},
                         {"validation", "b", curve(report.rows, kValidationLoss), true}});
  std::vector<std::string> drawn = {kLoss,         kValidationLoss, kLearningRate, kTokensPerSecond,
                                    kGradientNorm, kTokens,         kEpoch};
  std::vector<std::string> metrics;  // whatever else evaluations measured
  for (const LogRow& row : report.rows)
    if (std::isfinite(row.value(kValidationLoss)))
      for (const auto& [name, _] : row.values)
        if (std::ranges::find(drawn, name) == drawn.end()) drawn.push_back(name), metrics.push_back(name);
  for (const std::string& metric : metrics)
    html += chart(metric + " (validation)", {{"", "b", curve(report.rows, metric.c_str()), true}});
  html += chart("Learning rate", {{"", "a", thin(curve(report.rows, kLearningRate), kMaxPoints)}});
  html += chart("Tokens per second", {{"", "a", thin(curve(report.rows, kTokensPerSecond), kMaxPoints)}});
  html += chart("Gradient norm", {{"", "a", thin(curve(report.rows, kGradientNorm), kMaxPoints)}});
  html += "</div>\n";
  if (!report.samples.empty()) {
    html += "<h2>Sample predictions</h2><table><tr><th>Prompt</th><th>Expected</th><th>Answer</th></tr>\n";
    for (const Sample& sample : report.samples)
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", escape(sample.prompt),
                          escape(sample.expected), escape(sample.answer));
    html += "</table>\n";
  }
  return html + table("Settings", report.settings) + table("Machine", report.machine) + "</html>\n";
}

base::Status write_report(const std::string& path, const Report& report) {
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(to_html(report)));
  return file.commit();
}

std::vector<std::pair<std::string, std::string>> describe_machine(int num_threads, const std::string& kernels) {
  utsname system{};
  ::uname(&system);
  double gib =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE)) / (1 << 30);
  return {{"processor", first_value("/proc/cpuinfo", "model name")},
          {"threads", std::to_string(num_threads)},
          {"memory", fmt::format("{:.1f} GiB", gib)},
          {"kernels", kernels},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)}};
}

}  // namespace retort::training
