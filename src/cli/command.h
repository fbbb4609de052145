// How a subcommand of `retort` is declared and how it ends: one file per command, one line in main.cc.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace CLI {
class App;
}

namespace retort::cli {

/// What the program's exit status means.
enum ExitCode {
  kDone = 0,
  kFailed = 1,         // the input or the environment was at fault; the message says which
  kUsage = 2,          // wrong usage
  kShort = 3,          // finished, but short of what was asked
  kInterrupted = 130,  // stopped by the user, resumable
};

/// Adds `retort NAME` to `app`: a description, options and examples (App::footer), and a callback that stores the exit
/// code. Command options live in a std::shared_ptr captured by the callback.
using AddCommand = void (*)(CLI::App& app, int& exit_code);

/// Prints `retort: MESSAGE` to stderr and returns kFailed, for `return report(result.error());`.
int report(const base::Error& error);

/// The exit code of a command's result; an error is reported first.
int finish(const base::Result<int>& result);

/// All of stdin, or of the file at `path` when it is not empty or "-".
base::Result<std::string> read_input(const std::string& path);

}  // namespace retort::cli
