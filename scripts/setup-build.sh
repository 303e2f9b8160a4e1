#!/bin/sh
# Installs what the build needs beside Rust, when it is missing.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

want 'command -v cc' 'a C compiler: ring, mimalloc and zlib-ng are built from C' 'gcc libc6-dev' gcc gcc
want 'command -v cmake' 'cmake: builds zlib-ng, which the proxy engine links' cmake cmake cmake
want 'command -v make' 'make: cmake drives it' make make make
install_wanted

# Rust itself is the user's choice of installer, so it is named and not installed.
wanted_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
if ! command -v cargo >/dev/null 2>&1; then
    echo "no cargo found: install Rust $wanted_rust or newer (rustup, or your system's package) and run this again" >&2
    exit 1
fi
found_rust=$(rustc --version | awk '{ print $2 }')
oldest=$(printf '%s\n%s\n' "$wanted_rust.0" "${found_rust%%-*}" | sort -t . -k1,1n -k2,2n -k3,3n | head -n 1)
if [ "$oldest" != "$wanted_rust.0" ]; then
    echo "Rust $found_rust is too old: Adit needs $wanted_rust or newer ('rustup update stable')" >&2
    exit 1
fi
