#include "cli/tune_head.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/run_options.h"
#include "training/head.h"

namespace retort::cli {

base::Result<int> tune_head(const TuneOptions& options) {
  RETORT_TRY(training::RowFile rows, training::read_rows(options.data));
  if (rows.shape != training::RowShape::kLabel)
    return base::fail(fmt::format("{}: a head classifies: expected rows of {}, got {}", options.data,
                                  name(training::RowShape::kLabel), name(rows.shape)));
  EngineOptions engine_options;
  engine_options.model = options.model;
  engine_options.threads = options.threads;
  RETORT_TRY(Engine engine, Engine::load(engine_options));
  std::error_code error;
  std::filesystem::create_directories(options.output, error);
  if (error) return base::fail(fmt::format("{}: cannot make the folder: {}", options.output, error.message()));

  auto start = std::chrono::steady_clock::now();
  graph::Workspace workspace(*engine.pool, kernels::active());
  training::HeadOptions settings;
  settings.seed = options.trainer.batch.seed;
  settings.max_tokens = options.dataset.max_tokens;
  base::Result<training::Head> head = [&] {
    base::Progress progress("features", base::ProgressUnit::kItems, "rows");
    return training::fit_head(engine.model->network(), engine.model->file(), engine.model->tokenizer(), workspace, rows,
                              settings,
                              [&](int64_t done) { progress.update(static_cast<uint64_t>(done), rows.rows.size()); });
  }();
  if (!head) return tl::unexpected(head.error());
  std::string path = options.output + "/head.gguf";
  RETORT_TRY_STATUS(training::write_head(*head, path));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.json)
    fmt::print("{}\n", nlohmann::json({{"output", path},
                                       {"rows", rows.rows.size()},
                                       {"labels", head->labels.size()},
                                       {"seconds", seconds},
                                       {"peak_rss_bytes", peak_rss_bytes()}})
                           .dump());
  else
    fmt::print("{}\n{} labels from {} rows in {:.1f} s\n", path, head->labels.size(), rows.rows.size(), seconds);
  return kDone;
}

}  // namespace retort::cli
