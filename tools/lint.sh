#!/bin/sh
# Checks formatting and naming of all C++ sources; changes nothing.
set -eu
cd "$(dirname "$0")/.."
sources=$(git ls-files '*.cc' '*.h' '*.c')
clang-format --dry-run --Werror $sources
cmake --preset dev >/dev/null
run_tidy=$(command -v run-clang-tidy || command -v run-clang-tidy-14)
# The flags in build/dev are GCC's.
"$run_tidy" -quiet -p build/dev -extra-arg=-Wno-unknown-warning-option "^$PWD/src/.*\.cc\$" >build/dev/tidy.log 2>&1 || {
  grep -A3 -E 'error:|warning:' build/dev/tidy.log
  echo "all of it: build/dev/tidy.log"
  exit 1
}
echo "lint ok"
