// Records: cuts a data file into rows without ever holding more than one row, however long its lines are.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace retort::training {

/// Reads bytes of a file with line numbers. Not thread-safe.
class RecordReader {
 public:
  /// Fails with the path and the system's reason. Rows beyond `max_bytes` are passed over and flagged.
  static base::Result<RecordReader> open(const std::string& path, int64_t max_bytes);

  struct Record {
    int64_t line = 0;       // where it begins, from 1
    int64_t bytes = 0;      // of the whole row in the file
    bool too_long = false;  // then there is no content
  };

  /// The next line, without its end; false at the end of the file.
  bool next_line(Record& record, std::string& text);

  /// The next CSV record as RFC 4180 has it: fields in quotes may hold commas, line ends and doubled quotes. `error` is
  /// set, and the rest of that line passed over, when quotes are misplaced. Empty lines are passed over.
  bool next_csv(Record& record, std::vector<std::string>& fields, std::string& error);

 private:
  RecordReader(std::unique_ptr<std::filebuf> file, int64_t max_bytes);
  int take() { return file_->sbumpc(); }
  int peek() { return file_->sgetc(); }

  std::unique_ptr<std::filebuf> file_;
  int64_t max_bytes_, line_ = 1;
};

}  // namespace retort::training
