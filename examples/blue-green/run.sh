#!/bin/sh
# The whole story in one terminal: everybody gets blue, then green, then blue again, and no request fails.
set -eu
cd "$(dirname "$0")"
. ../canary/running.sh

# live BLUE GREEN: the weights of both, changed in one step.
live() {
    change "s|metadata: blue, weight: .*$|metadata: blue, weight: $1 }|; s|metadata: green, weight: .*$|metadata: green, weight: $2 }|"
}

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
