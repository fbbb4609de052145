// Every subcommand of `retort`; each is defined in the file of its name.
#pragma once

#include "cli/command.h"

namespace retort::cli {}  // namespace retort::cli
