// RunLog: what a training run writes down as it goes: metrics.jsonl, and TensorBoard's event file.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace retort::training {

/// The figures of one step, or of one evaluation, in the order they are written.
struct LogRow {
  int64_t step = 0;
  double wall_time = 0;  // seconds since 1970
  std::vector<std::pair<std::string, double>> values;

  /// The figure called `name`; NaN when the row has none.
  double value(const std::string& name) const;
};

/// `{"step":1,"time":1700000000.5,"loss":2.5}`; what is not finite is null.
std::string to_json_line(const LogRow& row);

/// Appends rows to FOLDER/metrics.jsonl and FOLDER/events.out.tfevents.*; a row is with the operating system when
/// append() returns. Not thread-safe.
class RunLog {
 public:
  /// Keeps nothing until it is replaced by an opened one.
  RunLog() = default;

  /// Continues after `last_step`: rows of later steps, which a run that was killed left behind, are dropped, and the
  /// event file is written anew from those that stay. 0 starts empty files. Fails when the folder cannot be written
  /// or a line that must stay is not a row of this log.
  static base::Result<RunLog> open(const std::string& folder, int64_t last_step);

  base::Status append(LogRow row);

  /// All rows, those of before a resume included.
  const std::vector<LogRow>& rows() const { return rows_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  std::string metrics_path_, events_path_;
  File metrics_, events_;
  std::vector<LogRow> rows_;
};

}  // namespace retort::training
