#include "training/run_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "training/event_file.h"

namespace retort::training {
namespace {

using ordered_json = nlohmann::ordered_json;

constexpr const char* kEventsPrefix = "events.out.tfevents.";

tl::unexpected<base::Error> system_error(const std::string& path, const char* action) {
  return base::fail(fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(errno)));
}

/// Whole lines up to `last_step`. The last line may be half a line, of a run that was killed: it is dropped.
base::Result<std::vector<LogRow>> read_rows(const std::string& path, int64_t last_step) {
  std::vector<LogRow> rows;
  std::ifstream file(path);
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    bool whole = !file.eof();
    ordered_json parsed = ordered_json::parse(line, nullptr, false);
    if (!whole) break;
    if (!parsed.is_object() || !parsed.contains("step") || !parsed["step"].is_number_integer())
      return base::fail(
          fmt::format("{}:{}: not a row of this log; move the file away to resume without it", path, number));
    LogRow row;
    for (const auto& [name, value] : parsed.items()) {
      if (name == "step")
        row.step = value.get<int64_t>();
      else if (name == "time" && value.is_number())
        row.wall_time = value.get<double>();
      else
        row.values.emplace_back(name, value.is_number() ? value.get<double>() : std::nan(""));
    }
    if (row.step <= last_step) rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::pair<std::string, double>> finite(const LogRow& row) {
  std::vector<std::pair<std::string, double>> kept;
  for (const auto& entry : row.values)
    if (std::isfinite(entry.second)) kept.push_back(entry);
  return kept;
}

base::Status write_atomically(const std::string& path, const std::string& content) {
  RETORT_TRY(base::AtomicFile file, base::AtomicFile::create(path));
  RETORT_TRY_STATUS(file.write(content));
  return file.commit();
}

base::Status append_to(std::FILE* file, const std::string& bytes, const std::string& path) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fflush(file) != 0)
    return system_error(path, "write");
  return {};
}

}  // namespace

double LogRow::value(const std::string& name) const {
  for (const auto& [key, number] : values)
    if (key == name) return number;
  return std::numeric_limits<double>::quiet_NaN();
}

std::string to_json_line(const LogRow& row) {
  ordered_json line = {{"step", row.step}, {"time", row.wall_time}};
  for (const auto& [name, value] : row.values) {
    bool whole = std::isfinite(value) && value == std::floor(value) && std::abs(value) < 1e15;
    line[name] = whole ? ordered_json(static_cast<int64_t>(value)) : ordered_json(value);
  }
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

base::Result<RunLog> RunLog::open(const std::string& folder, int64_t last_step) {
  RunLog log;
  log.metrics_path_ = folder + "/metrics.jsonl";
  if (last_step > 0) {
    RETORT_TRY(log.rows_, read_rows(log.metrics_path_, last_step));
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with(kEventsPrefix)) std::filesystem::remove(entry.path(), ignored);

  std::string lines, records = event_file_header(log.rows_.empty() ? 0 : log.rows_[0].wall_time);
  for (const LogRow& row : log.rows_) {
    lines += to_json_line(row);
    records += event_record(row.step, row.wall_time, finite(row));
  }
  // The name has to begin so, and sorts by time: ours is the only one in the folder.
  log.events_path_ = folder + "/" + kEventsPrefix + "0.retort";
  RETORT_TRY_STATUS(write_atomically(log.metrics_path_, lines));
  RETORT_TRY_STATUS(write_atomically(log.events_path_, records));
  log.metrics_.reset(std::fopen(log.metrics_path_.c_str(), "ab"));
  if (!log.metrics_) return system_error(log.metrics_path_, "open");
  log.events_.reset(std::fopen(log.events_path_.c_str(), "ab"));
  if (!log.events_) return system_error(log.events_path_, "open");
  return log;
}

base::Status RunLog::append(LogRow row) {
  RETORT_TRY_STATUS(append_to(metrics_.get(), to_json_line(row), metrics_path_));
  RETORT_TRY_STATUS(append_to(events_.get(), event_record(row.step, row.wall_time, finite(row)), events_path_));
  rows_.push_back(std::move(row));
  return {};
}

}  // namespace retort::training
