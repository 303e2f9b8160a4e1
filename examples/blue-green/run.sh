#!/bin/sh
# The whole story in one terminal: everybody gets blue, then green, then blue again, and no request fails.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
if ! command -v adit >/dev/null 2>&1; then
    echo 'building adit (put it on your PATH to leave this out) …'
    (cd "$root" && cargo build --quiet --bin adit)
    PATH="${CARGO_TARGET_DIR:-$root/target}/debug:$PATH"
fi

logs=$(mktemp -d)
started=
stop() {
    trap - EXIT INT TERM
    for process in $started; do kill "$process" 2>/dev/null || true; done
    rm -rf "$logs" gateway.running.yaml
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# until_said NAME LINE TIMES: waits until the log of NAME has LINE so often; gives up after 30 seconds.
until_said() {
    tries=0
    until [ "$(grep -c -- "$2" "$logs/$1" || true)" -ge "$3" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "$1 did not say: $2" >&2
            cat "$logs/$1" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# start NAME LINE TIMES COMMAND…: in the background, until it has said LINE so often.
start() {
    name=$1 line=$2 times=$3
    shift 3
    : >"$logs/$name"
    "$@" >"$logs/$name" 2>&1 &
    started="$started $!"
    until_said "$name" "$line" "$times"
}

reloads=0
# live BLUE GREEN: the weights of both, changed in one step.
live() {
    sed "s|metadata: blue, weight: .*$|metadata: blue, weight: $1 }|; s|metadata: green, weight: .*$|metadata: green, weight: $2 }|" \
        gateway.running.yaml >"$logs/gateway.yaml"
    mv "$logs/gateway.yaml" gateway.running.yaml
    reloads=$((reloads + 1))
    until_said gateway 'configuration reloaded' "$reloads"
}

log='--log stdout --log-format logfmt'
cp gateway.yaml gateway.running.yaml
start blue '^demo service' 1 python3 ../quickstart/service.py 3001 blue
start green '^demo service' 1 python3 ../quickstart/service.py 3002 green
# shellcheck disable=SC2086
start gateway 'msg=listening.* scheme=https' 1 adit gateway --config gateway.running.yaml $log
# shellcheck disable=SC2086
start agent1 'started tunnel' 1 adit start blue --config adit.yaml $log
# shellcheck disable=SC2086
start agent2 'started tunnel' 2 adit start green preview --config adit.yaml $log

echo 'Everybody gets blue; each line is a second:'
python3 ../canary/load.py --port 9443 --path /name --watch &
load=$!
started="$started $load"
sleep 2.5
live 0 1
echo 'Everybody gets green:'
sleep 2.5
live 1 0
echo 'Back to blue:'
sleep 2.5
echo 'All together:'
kill "$load"
wait "$load"
