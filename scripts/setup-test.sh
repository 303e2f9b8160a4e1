#!/bin/sh
# Installs what the end-to-end tests drive, when it is missing: clients, identity providers, a browser; a Python environment
# at target/test-venv and Node's packages at target/test-node.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

want 'curl --version | grep -q HTTP2' 'curl with HTTP/2: the client most tests speak with' curl curl curl
want 'command -v openssl' 'openssl: certificates, and raw TLS at the public port' openssl openssl openssl
want 'command -v h2load' 'h2load: HTTP/2 with many streams' nghttp2-client nghttp2 nghttp2
want 'command -v wrk' 'wrk: load while things are being killed' wrk - wrk
want 'command -v python3' 'python3: gRPC and WebSocket peers that share no code with us' python3 python3 python3
want 'python3 -c "import ensurepip, venv"' 'the venv module: keeps those peers off the system' python3-venv python3 -
want 'command -v node && command -v npm' 'node and npm: an OpenID provider, and the hands of the browser' 'nodejs npm' 'nodejs npm' node
want 'command -v chromium || command -v google-chrome' 'chromium: signs in and out as people do' chromium chromium chromium
if command -v apt-get >/dev/null 2>&1; then # nobody else has a package of it; its tests say so and stop there
    want 'command -v glewlwyd' 'glewlwyd: a second OpenID provider, that shares no code with the first' 'glewlwyd glewlwyd-common' - -
fi
want 'command -v sqlite3' 'sqlite3: the database of that provider' sqlite3 sqlite sqlite
install_wanted

venv=target/test-venv
if ! cmp -s scripts/test-requirements.txt "$venv/installed.txt" || ! "$venv/bin/python" -c 'import grpc' 2>/dev/null; then
    echo "installing into $venv: $(grep -v '^#' scripts/test-requirements.txt | tr '\n' ' ')"
    mkdir -p target
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/test-requirements.txt
    cp scripts/test-requirements.txt "$venv/installed.txt"
fi

if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'; then
    echo "node $(node --version) is too old: the tests of signing in need 20 or newer (https://nodejs.org, or your system's newer package)" >&2
    exit 1
fi
node=target/test-node
if ! cmp -s tests/e2e/identity/package-lock.json "$node/installed.json" || ! [ -d "$node/node_modules/oidc-provider" ]; then
    echo "installing into $node: $(sed -n 's/^    "\([a-z-]*\)": "^\(.*\)".*/\1 \2/p' tests/e2e/identity/package.json | paste -s -d ' ' -)"
    mkdir -p "$node"
    cp tests/e2e/identity/package.json tests/e2e/identity/package-lock.json "$node/"
    # None of these packages needs a script of its own to be installed.
    (cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --silent)
    cp "$node/package-lock.json" "$node/installed.json"
fi
