#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_path.h"
#include "runtime/requantize.h"

namespace retort::cli {
namespace {

struct Options {
  std::string in, out, type;
  int threads = 0;
  bool pure = false, json = false;
};

base::Result<int> run(const Options& options) {
  RETORT_TRY(std::string path, resolve_model(options.in));
  RETORT_TRY(formats::GgufFile file, formats::GgufFile::open(path));
  InterruptGuard interrupt;
  runtime::RequantizeOptions settings;
  settings.dtype = *tensor::dtype_from_name(options.type);  // checked when it was parsed
  settings.pure = options.pure;
  settings.conversion.num_threads = options.threads;
  settings.conversion.cancelled = &interrupt.flag();
  base::Result<runtime::RequantizeResult> result = [&] {
    base::Progress progress("quantize", base::ProgressUnit::kBytes);
    settings.conversion.on_progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
    return runtime::requantize(file, options.out, settings);
  }();
  if (!result) {
    report(result.error());
    return interrupt.interrupted() ? kInterrupted : kFailed;
  }
  for (const std::string& note : result->notes) fmt::print(stderr, "{}\n", note);
  if (options.json)
    fmt::print("{}\n", nlohmann::json({{"bytes", result->bytes}, {"bits_per_weight", result->bits_per_weight}}).dump());
  else
    fmt::print("{}: {:.1f} MB, {:.2f} bits per weight, from {:.1f} MB\n", options.out,
               static_cast<double>(result->bytes) / 1e6, result->bits_per_weight,
               static_cast<double>(file.file_bytes()) / 1e6);
  return kDone;
}

}  // namespace

void add_quantize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("quantize", "Store a model's matrices in another type");
  command->add_option("in", options->in, "Model: a GGUF file or a catalogue name")->required();
  command->add_option("out", options->out, "File to write; it appears when it is complete")->required();
  command->add_option("--type", options->type, "One of " + runtime::requantize_types())
      ->required()
      ->check([](const std::string& name) {
        if (tensor::dtype_from_name(name)) return std::string();
        return fmt::format("{}: no such type, known are {}", name, runtime::requantize_types());
      });
  command->add_flag("--pure", options->pure, "The output head too, which otherwise gets Q6_K or better");
  command->add_option("--threads", options->threads, "Threads; 0: one per processor")->capture_default_str();
  command->add_flag("--json", options->json, "Print {\"bytes\",\"bits_per_weight\"}");
  command->footer(
      "Norms and biases stay F32. Where a row is not a multiple of a type's block, the next larger type that fits is "
      "taken, and said.\n"
      "Quantizing what is quantized already adds up the errors: start from F32, F16 or BF16 where there is such a "
      "file.\n"
      "Examples:\n"
      "  retort quantize model-f16.gguf model-q4_k.gguf --type Q4_K\n"
      "  retort quantize smollm2-135m smollm2-q8_0.gguf --type Q8_0 --json");
  command->callback([options, &exit_code] { exit_code = finish(run(*options)); });
}

}  // namespace retort::cli
