#!/bin/sh
# The whole story in one terminal: a rehearsal with copies of requests, then a canary of 5, 50 and 100 percent.
set -eu
cd "$(dirname "$0")"
. ./running.sh

# weights V1 V2
weights() {
    change "s/metadata: v1, weight: .*/metadata: v1, weight: $1 }/; s/metadata: v2, weight: .*/metadata: v2, weight: $2 }/"
}

metrics() {
    curl --silent --noproxy '*' http://127.0.0.1:9180/metrics
}

# The copies of all requests so far, by what came of them.
report() {
    until metrics | grep -q '^adit_mirror_under_way 0$'; do sleep 0.1; done
    metrics | sed -n 's/^adit_mirror_total{.*result="\(.*\)"} \([1-9].*\)$/  copies whose answer was \1: \2/p' |
        sed 's/answer was same/answer was the same/; s/answer was body/answer had another body/'
}

# Where the first answer differed. The log says no more: values may be secret.
where() {
    sed -n 's/.* path="*\([^" ]*\).* finding="\(body at [^"]*\)".*/  the first difference: \1, \2/p' "$logs/gateway" | head -1
}

start v1 '^price service' 1 python3 service.py 3001 v1
start v2 '^price service' 1 python3 service.py 3002 v2 --rounds
candidate=$!
# shellcheck disable=SC2086
start gateway 'msg=listening.* scheme=https' 1 adit gateway --config gateway.running.yaml $log
# shellcheck disable=SC2086
start agent1 'started tunnel' 1 adit start v1 --config adit.yaml $log
# shellcheck disable=SC2086
start agent2 'started tunnel' 2 adit start v2 candidate --config adit.yaml $log

echo '1. Rehearsal. v1 answers everybody; v2 gets copies:'
python3 load.py --port 9443
report
where
echo '2. v2 is corrected and rehearsed again:'
kill "$candidate"
wait "$candidate" 2>/dev/null || true
start v2 '^price service' 1 python3 service.py 3002 v2
python3 load.py --port 9443
report
echo '3. The canary: 5 percent of the requests.'
weights 95 5
python3 load.py --port 9443
echo '4. Half of them:'
weights 50 50
python3 load.py --port 9443
echo '5. All of them:'
weights 0 100
python3 load.py --port 9443
echo '6. The other way: back to v1, and the same users get v2 each time.'
weights 100 0
change 's/policy.yaml/policy-users.yaml/'
python3 load.py --port 9443 --users
