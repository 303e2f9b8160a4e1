# What the stories of this folder and of ../blue-green have in common: read by their run.sh, which stands in its own folder.

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
# change SCRIPT: edits the configuration of the running gateway, which follows it.
change() {
    sed "$1" gateway.running.yaml >"$logs/gateway.yaml"
    mv "$logs/gateway.yaml" gateway.running.yaml
    reloads=$((reloads + 1))
    until_said gateway 'configuration reloaded' "$reloads"
}

log='--log stdout --log-format logfmt'
cp gateway.yaml gateway.running.yaml
