#!/bin/sh
# `make demo`: a service, the embedded gateway, an agent and a policy on this machine, and one page fetched through all of it.
# In a terminal it stays up until Ctrl-C; without one, or with DEMO_ONCE=1, it ends after the fetch (0 = the page arrived).
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

want 'command -v python3' 'python3: the demo service' python3 python3 python3
want 'command -v curl' 'curl: fetches the page' curl curl curl
install_wanted

# The plain build: a page soon matters more here than speed (`make build` makes the fast one, in minutes).
cargo build --bin adit
adit="${CARGO_TARGET_DIR:-target}/debug/adit"

# Everything the demo leaves behind, its certificate authority included, lies in one folder.
scratch="$PWD/target/demo"
mkdir -p "$scratch"
: >"$scratch/service.log"
: >"$scratch/adit.log"
ca="$scratch/data/adit/ca.pem"

started=''
stop() {
    trap - EXIT INT TERM
    for process in $started; do kill "$process" 2>/dev/null || true; done
    for process in $started; do wait "$process" 2>/dev/null || true; done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for PROCESS LOG PATTERN: until a line of LOG matches; gives up when PROCESS is gone or after 30 seconds.
wait_for() {
    tries=0
    until grep -q -- "$3" "$2"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$1" 2>/dev/null; then
            echo "demo: no line like '$3' in $2, which says:" >&2
            cat "$2" >&2
            exit 1
        fi
        sleep 0.1
    done
}

python3 examples/quickstart/service.py 0 >"$scratch/service.log" 2>&1 &
service=$!
started="$service"
wait_for "$service" "$scratch/service.log" '^demo service on '
upstream=$(sed -n 's|^demo service on http://127.0.0.1:||p' "$scratch/service.log")

# A home of its own: neither a gateway configured for this user nor this user's files have a part in it.
env -u ADIT_CONNECT_URL -u ADIT_CONFIG -u ADIT_AUTHTOKEN -u NGROK_AUTHTOKEN \
    HOME="$scratch" XDG_DATA_HOME="$scratch/data" XDG_CONFIG_HOME="$scratch/config" \
    "$adit" http "$upstream" --traffic-policy-file examples/quickstart/policy.yaml --log stdout >"$scratch/adit.log" 2>&1 &
tunnel=$!
started="$tunnel $service"
wait_for "$tunnel" "$scratch/adit.log" 'msg="started tunnel".* url=https://'
wait_for "$tunnel" "$scratch/adit.log" 'msg="started tunnel".* url=http://'
https_url=$(sed -n 's|.*msg="started tunnel".* url=\(https://[^ ]*\).*|\1|p' "$scratch/adit.log" | head -n 1)
http_url=$(sed -n 's|.*msg="started tunnel".* url=\(http://[^ ]*\).*|\1|p' "$scratch/adit.log" | head -n 1)

echo
echo "\$ curl --include --cacert $ca $https_url/"
page=$(curl --silent --show-error --fail --include --noproxy '*' --max-time 20 --cacert "$ca" "$https_url/")
echo "$page"
echo
echo "\$ curl --cacert $ca $https_url/headers"
headers=$(curl --silent --show-error --fail --noproxy '*' --max-time 20 --cacert "$ca" "$https_url/headers")
echo "$headers"
echo

# What was fetched must be the service's page, with the policy's mark on the answer and on the request.
echo "$page" | grep -q 'It works' || { echo 'demo: that is not the demo page' >&2; exit 1; }
echo "$page" | grep -qi '^x-served-through: adit' || { echo 'demo: the answer lacks the header that the policy adds' >&2; exit 1; }
echo "$headers" | grep -q '"x-quickstart": "hello from the policy"' || { echo 'demo: the service did not see the header that the policy adds' >&2; exit 1; }

cat <<END
That page went: curl -> TLS -> gateway -> policy -> tunnel (TLS) -> agent -> http://127.0.0.1:$upstream
The policy (examples/quickstart/policy.yaml) added x-served-through to the answer and x-quickstart to the request.

  the page      $https_url   (browsers will ask about the demo's own certificate authority)
                $http_url
  the authority $ca
  the log       $scratch/adit.log
END

if [ -t 0 ] && [ -t 1 ] && [ "${DEMO_ONCE:-}" != 1 ]; then
    trap 'exit 0' INT TERM
    cat <<END

Try in another terminal:
  curl --cacert $ca $https_url/headers
  curl --http1.1 --head --cacert $ca $https_url/
  curl $http_url/headers

Up until Ctrl-C.
END
    wait "$tunnel"
fi
