#include "training/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace retort::training {

base::Result<Columns> Columns::parse(std::string_view text) {
  constexpr std::string_view kNames[] = {"text",       "label",  "fields",   "summary",
                                         "completion", "prompt", "messages", "tools"};
  Columns columns;
  while (!text.empty()) {
    size_t end = std::min(text.find(','), text.size()), middle = text.find('=');
    std::string_view name = text.substr(0, std::min(middle, end));
    std::string_view column = middle < end ? text.substr(middle + 1, end - middle - 1) : std::string_view();
    if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames) || column.empty())
      return base::fail(fmt::format(
          "columns: expected NAME=COLUMN with text, label, fields, summary, prompt, completion, messages or tools as "
          "NAME, got \"{}\"",
          text.substr(0, end)));
    for (const auto& [other_name, other_column] : columns.given_)
      if (other_name == name || other_column == column)
        return base::fail(fmt::format("columns: \"{}\" comes twice", other_name == name ? name : column));
    columns.given_.emplace_back(name, column);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return columns;
}

std::string_view Columns::name_of(std::string_view column) const {
  for (const auto& [name, given] : given_)
    if (given == column) return name;
  for (const auto& [name, given] : given_)
    if (name == column) return {};
  return column;
}

}  // namespace retort::training
