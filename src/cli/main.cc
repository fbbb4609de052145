// The program `retort`: parses the command line and runs one subcommand.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace retort::cli;
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
