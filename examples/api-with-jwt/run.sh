#!/bin/sh
# The issuer, the API and Adit in one terminal: sh run.sh (ctrl-c ends all three)
set -eu
cd "$(dirname "$0")"
started=
trap 'kill $started 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
node issuer.mjs 3100 &
started="$started $!"
python3 ../quickstart/service.py 3000 &
started="$started $!"
adit http 3000 --url http://api.localhost --traffic-policy-file policy.yaml &
started="$started $!"
wait $!
