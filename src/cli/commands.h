// Every subcommand of `retort`; each is defined in the file of its name.
#pragma once

#include "cli/command.h"

namespace retort::cli {

void add_bench(CLI::App& app, int& exit_code);
void add_chat(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_logits(CLI::App& app, int& exit_code);
void add_merge(CLI::App& app, int& exit_code);
void add_perplexity(CLI::App& app, int& exit_code);
void add_pull(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_template(CLI::App& app, int& exit_code);
void add_tokenize(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);

}  // namespace retort::cli
