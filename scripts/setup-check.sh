#!/bin/sh
# Installs cargo-deny, which `make check` runs, when it is missing.
set -eu

cargo deny --version >/dev/null 2>&1 && exit 0

echo "missing on this machine: cargo-deny (licences, advisories and duplicates of the dependencies); building it with cargo install"
# A checker that runs for seconds does not repay its own ten-minute optimised build.
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --quiet --locked --version 0.20.2 cargo-deny
