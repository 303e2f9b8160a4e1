#!/bin/sh
# A provider, an app, the gateway and its agent in one terminal: sh run.sh [POLICY] (ctrl-c ends all four)
set -eu
cd "$(dirname "$0")"
policy=${1:-policy.yaml}
root=$(cd ../.. && pwd)
if ! command -v adit >/dev/null 2>&1; then
    echo 'building adit (put it on your PATH to leave this out) …'
    (cd "$root" && cargo build --quiet --bin adit)
    PATH="${CARGO_TARGET_DIR:-$root/target}/debug:$PATH"
fi
[ -d "$root/target/test-node/node_modules" ] || {
    echo 'installing the provider (npm, below target/) …'
    mkdir -p "$root/target/test-node"
    cp "$root/tests/e2e/identity/package.json" "$root/tests/e2e/identity/package-lock.json" "$root/target/test-node/"
    (cd "$root/target/test-node" && npm ci --ignore-scripts --no-audit --no-fund --silent)
}

logs=$(mktemp -d)
started=
stop() {
    trap - EXIT INT TERM
    for process in $started; do kill "$process" 2>/dev/null || true; done
    rm -rf "$logs"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME LINE COMMAND…: in the background, until it says LINE; gives up when it ends or after 30 seconds.
start() {
    log="$logs/$1" line=$2
    shift 2
    "$@" >"$log" 2>&1 &
    started="$started $!"
    tries=0
    until grep -q -- "$line" "$log"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 $! 2>/dev/null; then
            echo "this did not start: $*" >&2
            cat "$log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

sed "s|traffic_policy_file: .*|traffic_policy_file: $policy|" gateway.yaml >gateway.running.yaml
start provider '^ready ' node "$root/tests/e2e/identity/provider.mjs" provider.json
start app '^demo service on ' python3 ../quickstart/service.py 3000
start gateway 'msg=listening.* scheme=https' adit gateway --config gateway.running.yaml --log stdout --log-format logfmt
start agent 'started tunnel' adit start app --config adit.yaml --log stdout --log-format logfmt

cat <<END

The app is at   https://app.localhost:9443/headers    (your browser will ask about the authority data/ca.pem)
Sign in as      alice / alicepass    (bob / bobpass, mallory / mallorypass)
Sign out at     https://app.localhost:9443/adit/logout

Up until Ctrl-C.
END
wait
