#!/usr/bin/env bash
# Installs the bench's peers where they are missing: wrk, nginx, openssl, curl by apt, rathole by cargo. Runs again harmlessly.
set -euo pipefail

RATHOLE_VERSION=0.5.0
POLICY=/usr/sbin/policy-rc.d
PATH="$PATH:/usr/sbin:/usr/local/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
has() { command -v "$1" >/dev/null 2>&1; }

made_policy=
remove_policy() { if [ -n "$made_policy" ]; then as_root rm -f "$POLICY"; fi; }
trap remove_policy EXIT

# A package that starts its own nginx on port 80 would disturb the machine; this file tells apt not to. An existing one is the owner's.
forbid_service_starts() {
  if [ ! -e "$POLICY" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
  fi
}

packages=()
for name in wrk nginx openssl curl; do has "$name" || packages+=("$name"); done
if [ ${#packages[@]} -gt 0 ]; then
  if has apt-get; then
    forbid_service_starts
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
  else
    echo "bench: please install with this system's package manager: ${packages[*]}" >&2
  fi
fi

if ! has rathole; then
  if has cargo; then
    # Without --locked: the locked `time` no longer compiles. From /, so that this repository's settings do not apply.
    (cd / && cargo install -q "rathole@$RATHOLE_VERSION")
  else
    echo "bench: rathole is skipped, because cargo is missing to build it" >&2
  fi
fi
