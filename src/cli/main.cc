// The program `retort`: parses the command line and runs one subcommand.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>

#include "cli/commands.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  CLI::App app("Retort runs small language models on a plain CPU.", "retort");
  app.set_version_flag("--version", RETORT_VERSION);
  app.require_subcommand(1);
  int exit_code = retort::cli::kDone;
  for (retort::cli::AddCommand add : std::initializer_list<retort::cli::AddCommand>{}) add(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? retort::cli::kDone : retort::cli::kUsage;
  }
  return exit_code;
}
