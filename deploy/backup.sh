#!/bin/sh
# Take a backup of the database and of Redis, check it, and remove those past their retention. Run it daily where
# PostgreSQL runs, as its user:
#
#     17 3 * * *  postgres  PGBACKREST_STANZA=agentforge DATABASE_URL=... BACKUP_DIR=... /opt/agentforge/deploy/backup.sh
#
# pgBackRest makes it, into its repository (deploy/postgres/pgbackrest.conf). Without PGBACKREST_STANZA, as for a
# database that others operate and archive, it is a dump in BACKUP_DIR. With REDIS_HOST (and REDIS_PORT, REDISCLI_AUTH)
# Redis sends a snapshot; REDIS_RDB is its dump.rdb instead, if that is on this host.
# Exits with a status other than 0, and leaves no partial file, when anything fails.
set -eu
umask 077

[ -z "${DATABASE_URL_FILE:-}" ] || DATABASE_URL=${DATABASE_URL:-$(cat "$DATABASE_URL_FILE")}
: "${DATABASE_URL:?names the database}"
: "${BACKUP_DIR:?names the directory of dumps and of snapshots of Redis}"
KEEP_DAYS=${KEEP_DAYS:-30} # of dumps; pgBackRest has its own configuration
KEEP_REDIS_DAYS=${KEEP_REDIS_DAYS:-7}
PGBACKREST_STANZA=${PGBACKREST_STANZA:-}

mkdir -p "$BACKUP_DIR"
moment=$(date -u +%Y%m%dT%H%M%SZ)
dump=$BACKUP_DIR/postgres-$moment.dump
snapshot=$BACKUP_DIR/redis-$moment.rdb
trap 'rm -f "$dump.part" "$snapshot.part"' EXIT

fail() {
    echo "$1" >&2
    exit 1
}

# A thief of the backups must not get the keys of what they contain.
[ -z "${ENCRYPTION_KEYS:-}${JWT_SECRETS:-}${JWT_SECRET:-}" ] ||
    fail "The keys are in the environment of this backup: ENCRYPTION_KEYS and JWT_SECRETS belong where no backup is."
beside=$(find "$BACKUP_DIR" -maxdepth 1 -type f -size -256k -exec grep -lE '(ENCRYPTION_KEYS|JWT_SECRETS?)[=:]' {} +) || true
[ -z "$beside" ] || fail "The keys are beside the backups, in $beside: keep them elsewhere."

if [ -n "$PGBACKREST_STANZA" ]; then
    export PGBACKREST_STANZA
    pgbackrest stanza-create # does nothing when there is one
    ! pgbackrest info --output=json | grep -q '"cipher":"none"' || fail "The repository is not encrypted: set repo1-cipher-type."
    pgbackrest check # a file of the log that is written now arrives
    kind=diff
    [ "$(date -u +%u)" != 7 ] || kind=full
    pgbackrest --type="$kind" backup # the first is always a full one
    said=$(pgbackrest verify --output=text --verbose) # its exit status is 0 even for damaged ones
    case $said in *"status: ok"*) ;; *) fail "The repository is damaged. $said" ;; esac
    made=$(pgbackrest info --output=json | grep -o '"label":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
else
    pg_dump --format=custom --no-owner --dbname="$DATABASE_URL" --file="$dump.part"
    pg_restore --list "$dump.part" >/dev/null # checks that it is readable
    mv "$dump.part" "$dump"
    made=$dump
fi

if [ -n "${REDIS_HOST:-}" ]; then
    redis-cli -h "$REDIS_HOST" -p "${REDIS_PORT:-6379}" --rdb "$snapshot.part" >/dev/null
    mv "$snapshot.part" "$snapshot"
elif [ -n "${REDIS_RDB:-}" ] && [ ! -e "$REDIS_RDB" ]; then
    echo "$REDIS_RDB does not exist: Redis has written no snapshot yet" >&2
elif [ -n "${REDIS_RDB:-}" ]; then
    cp "$REDIS_RDB" "$snapshot.part"
    mv "$snapshot.part" "$snapshot"
fi

# Only now that the new backup is complete.
find "$BACKUP_DIR" -name 'postgres-*.dump' -mtime "+$((KEEP_DAYS - 1))" -delete
find "$BACKUP_DIR" -name 'redis-*.rdb' -mtime "+$((KEEP_REDIS_DAYS - 1))" -delete
# `agentforge doctor` learns from this row when the last one was made.
psql --quiet --no-psqlrc --dbname="$DATABASE_URL" --set=ON_ERROR_STOP=1 --set=made="${made##*/}" \
    --set=operator="${OPERATOR:-}" <<'SQL'
INSERT INTO audit_log (id, action, data)
VALUES (gen_random_uuid(), 'database.backed_up',
        jsonb_strip_nulls(jsonb_build_object('file', :'made', 'operator', nullif(:'operator', ''))));
SQL
echo "$made"
