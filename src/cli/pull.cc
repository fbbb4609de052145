#include "hub/pull.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace retort::cli {
namespace {

struct Options {
  std::string name, sha256;
  int timeout = 30;
  bool list = false, force = false, json = false;
};

base::Result<int> list_catalogue(bool json) {
  nlohmann::json entries = nlohmann::json::array();
  for (const hub::CatalogueEntry& entry : hub::catalogue()) {
    if (json)
      entries.push_back({{"name", entry.name},
                         {"bytes", entry.bytes},
                         {"sha256", entry.sha256},
                         {"licence", entry.licence},
                         {"about", entry.about}});
    else
      fmt::print("{:<20} {:>7.1f} MB  {} ({})\n", entry.name, static_cast<double>(entry.bytes) / 1e6, entry.about,
                 entry.licence);
  }
  if (json) fmt::print("{}\n", nlohmann::json({{"models", entries}}).dump());
  return kDone;
}

base::Result<int> run(const Options& options) {
  if (options.list) return list_catalogue(options.json);
  if (options.name.empty()) return base::fail("which model? `retort pull --list` shows the catalogue");
  InterruptGuard interrupt;
  base::Progress progress(options.name, base::ProgressUnit::kBytes);
  hub::PullOptions settings;
  settings.sha256 = options.sha256;
  settings.force = options.force;
  settings.stall_timeout_s = options.timeout;
  settings.cancelled = &interrupt.flag();
  settings.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
  settings.on_note = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  base::Result<hub::PullResult> result = hub::pull(options.name, settings);
  if (!result) {
    report(result.error());
    return interrupt.interrupted() ? kInterrupted : kFailed;
  }
  if (options.json)
    fmt::print(
        "{}\n",
        nlohmann::json(
            {{"name", result->name}, {"path", result->path}, {"bytes", result->bytes}, {"sha256", result->sha256}})
            .dump());
  else
    fmt::print("{}\n", result->path);
  return kDone;
}

}  // namespace

void add_pull(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("pull", "Get a model");
  command->add_option("name", options->name, "Catalogue name, or hf://OWNER/REPO/FILE.gguf");
  command->add_option("--sha256", options->sha256, "Refuse a file with another checksum (for hf:// names)");
  command
      ->add_option("--timeout", options->timeout, "Seconds without a byte after which a connection is taken up again")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_flag("--list", options->list, "Show the catalogue");
  command->add_flag("--force", options->force, "Get it again even if it is there");
  command->add_flag("--json", options->json, "Print {\"name\",\"path\",\"bytes\",\"sha256\"}");
  command->footer(
      "Models are kept in $RETORT_HOME/models (by default ~/.cache/retort/models). An interrupted download goes on "
      "where it stopped.\n"
      "Examples:\n"
      "  retort pull smollm2-135m\n"
      "  retort pull hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_0.gguf");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
