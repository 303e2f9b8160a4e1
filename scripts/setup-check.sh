#!/bin/sh
# Installs what `make check` and `make fuzz` run beside Rust, when it is missing.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

want 'command -v c++' 'a C++ compiler: the fuzzer that looks for inputs is C++' g++ gcc-c++ gcc
install_wanted

cargo deny --version >/dev/null 2>&1 && exit 0

echo "missing on this machine: cargo-deny (licences, advisories and duplicates of the dependencies); building it with cargo install"
# A checker that runs for seconds does not repay its own ten-minute optimised build.
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --quiet --locked --version 0.20.2 cargo-deny
