// Columns: what a data file calls the columns, or JSON keys, that rows.h has names for.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace retort::training {

class Columns {
 public:
  /// Every column carries the name that rows.h gives it.
  Columns() = default;

  /// "text=review,label=stars": the file's column "review" holds the text, "stars" the label. Fails when a name on the
  /// left is not one of rows.h, or when a name comes twice.
  static base::Result<Columns> parse(std::string_view text);

  /// rows.h's name of a column of the file; empty for one to pass over, since another column stands for its name.
  std::string_view name_of(std::string_view column) const;

  /// The first of the given columns that `has` does not find in the file; empty when all are there.
  template <class Has>
  std::string_view missing(Has has) const {
    for (const auto& [name, column] : given_)
      if (!has(column)) return column;
    return {};
  }

 private:
  std::vector<std::pair<std::string, std::string>> given_;  // rows.h's name, the file's
};

}  // namespace retort::training
