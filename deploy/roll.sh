#!/bin/sh
# Change the running services to the images of another version, in the order that keeps the service available: the
# migration first, which the running version tolerates, then the instances of the API one after the other.
#
#     export VERSION=1.4.0; docker compose build && deploy/roll.sh
#
# Write the version to .env afterwards. It repeats nothing that is done, and may be repeated.
set -eu
compose=${COMPOSE:-docker compose}

replace() { $compose up -d --no-deps "$@"; }
ready() { # SERVICE; within a minute and a half
    tries=0
    until $compose exec -T "$1" python -c \
        "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/health/ready', timeout=2)" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 45 ] || { echo "$1 is not ready: the others still run the former version." >&2; exit 1; }
        sleep 2
    done
    sleep 6 # until nginx has asked for the addresses again
}

$compose run --rm --no-deps migrate
for instance in api-1 api-2 api-3; do
    replace "$instance"
    ready "$instance"
    echo "$instance is ready."
done
replace worker-executions worker-billing beat flower archive backup
# nginx stays, since its port is closed while it is replaced, and serves the new console and locations.
$compose run --rm --no-deps site
$compose exec -T nginx nginx -t -q
$compose exec -T nginx nginx -s reload
