#!/bin/sh
# Installs the clients that the end-to-end tests drive, when they are missing, and a Python environment at target/test-venv.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

want 'curl --version | grep -q HTTP2' 'curl with HTTP/2: the client most tests speak with' curl curl curl
want 'command -v openssl' 'openssl: certificates, and raw TLS at the public port' openssl openssl openssl
want 'command -v h2load' 'h2load: HTTP/2 with many streams' nghttp2-client nghttp2 nghttp2
want 'command -v wrk' 'wrk: load while things are being killed' wrk - wrk
want 'command -v python3' 'python3: gRPC and WebSocket peers that share no code with us' python3 python3 python3
want 'python3 -c "import ensurepip, venv"' 'the venv module: keeps those peers off the system' python3-venv python3 -
install_wanted

venv=target/test-venv
if ! cmp -s scripts/test-requirements.txt "$venv/installed.txt" || ! "$venv/bin/python" -c 'import grpc' 2>/dev/null; then
    echo "installing into $venv: $(grep -v '^#' scripts/test-requirements.txt | tr '\n' ' ')"
    mkdir -p target
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/test-requirements.txt
    cp scripts/test-requirements.txt "$venv/installed.txt"
fi
