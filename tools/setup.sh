#!/bin/sh
# Installs the Debian or Ubuntu packages that building, testing and running Retort needs. Does nothing when all of
# them are there; says what it does otherwise; uses sudo when not root.
set -eu

packages="
  g++ cmake ninja-build make pkg-config git ca-certificates
  libfmt-dev libexpected-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev
  libcurl4-openssl-dev libssl-dev libzip-dev libedit-dev
  python3 python3-pip
  libgtest-dev libgmock-dev libbenchmark-dev
"
# Only for `make lint`, `make fuzz`, `make test-aarch64`, `make test-neon` and `make test-x86`; asked for by name:
# tools/setup.sh lint fuzz aarch64 neon x86
for extra in "$@"; do
  case $extra in
    lint) packages="$packages clang-format clang-tidy" ;;
    fuzz) packages="$packages clang-14 libclang-rt-14-dev" ;;
    aarch64) packages="$packages g++-aarch64-linux-gnu qemu-user googletest" ;;
    neon) packages="$packages libsimde-dev" ;;
    x86) packages="$packages qemu-user" ;;
    *) echo "setup: unknown part '$extra': known are lint, fuzz, aarch64, neon and x86" >&2; exit 2 ;;
  esac
done

if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: this is not Debian or Ubuntu. Install the equivalents of these packages by hand:" $packages >&2
  exit 1
fi

missing=
for package in $packages; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: run as root, or install sudo: these packages are needed:$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "setup: installing$missing"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "setup: done"
