#!/bin/sh
# Builds the fuzz targets with Clang, ASan and UBSan and runs each for some seconds, starting from the regression inputs
# under tests/fuzz/corpus/TARGET. Usage: tools/fuzz.sh SECONDS [TARGET ...]
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
cmake --preset clang >/dev/null
ninja -C build/clang fuzzers
[ $# -gt 0 ] || set -- $(cd build/clang && find . -name '*_fuzz' -type f -perm -u+x -exec basename {} \;)
for target in "$@"; do
  program=$(find build/clang -name "$target" -type f -perm -u+x)
  work=build/clang/corpus/$target
  mkdir -p "$work"
  seeds=tests/fuzz/corpus/$target
  [ -d "$seeds" ] || seeds=
  echo "fuzz: $target for $seconds s"
  "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/clang/$target-" "$work" $seeds 2>"build/clang/$target.log" || {
    tail -40 "build/clang/$target.log"
    exit 1
  }
  grep -E 'stat::number_of_executed_units' "build/clang/$target.log"
done
