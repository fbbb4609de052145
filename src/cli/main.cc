// The program `retort`: parses the command line and runs one subcommand.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "cli/command.h"
#include "cli/commands.h"

namespace retort::cli {
namespace {

int run_command(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  CLI::App app("Retort runs small language models on a plain CPU.", "retort");
  app.set_version_flag("--version", RETORT_VERSION);
  app.require_subcommand(1);
  int exit_code = kDone;
  for (AddCommand add : {add_bench, add_chat, add_eval, add_inspect, add_logits, add_merge, add_perplexity, add_pull,
                         add_quantize, add_run, add_template, add_tokenize, add_tune})
    add(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return exit_code;
}

}  // namespace
}  // namespace retort::cli

int main(int argc, char** argv) try { return retort::cli::run_command(argc, argv); } catch (const std::bad_alloc&) {
  std::fputs("retort: out of memory\n", stderr);
  return retort::cli::kFailed;
} catch (const std::exception& error) {  // of a library: our own code returns its errors
  std::fprintf(stderr, "retort: %s\n", error.what());
  return retort::cli::kFailed;
}
