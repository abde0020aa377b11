#!/bin/sh
# Restore the database. Stop the API, the workers and beat first; docs/recovery.md has all steps.
#
#     deploy/restore.sh latest                    # all that is in pgBackRest's archive, after the loss of a disk
#     deploy/restore.sh '2026-11-25 03:17:00+00'  # as it was at that moment, before an accident
#     deploy/restore.sh finish                    # once PostgreSQL was started after one of these
#     deploy/restore.sh /var/backups/agentforge/postgres-20261125T031700Z.dump
#
# The first two need PGBACKREST_STANZA and an empty data directory, and run as the user of PostgreSQL, on its host, while
# it is stopped. The others need DATABASE_URL; for a dump its role must be allowed to create databases.
set -eu
export PSQL_PAGER=cat # or a terminal without a size, as of `docker compose run` in a script, would wait for a key

what=${1:?names a dump, a moment, or is "latest" or "finish"}
here=$(dirname "$0")
[ -z "${DATABASE_URL_FILE:-}" ] || DATABASE_URL=${DATABASE_URL:-$(cat "$DATABASE_URL_FILE")}

fail() {
    echo "$1" >&2
    exit 1
}

finished() {
    psql --quiet --no-psqlrc --tuples-only --no-align --dbname="$DATABASE_URL" --set=ON_ERROR_STOP=1 \
        --set=backup="$1" --set=point="$2" --set=operator="${OPERATOR:-}" --single-transaction --file="$here/restored.sql"
}

if [ "$what" = finish ]; then
    : "${DATABASE_URL:?names the database}"
    left=${RECOVERY_SECONDS:-3600}
    while [ "$(psql --no-psqlrc -Atd "$DATABASE_URL" -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" != f ]; do
        [ "$left" -gt 0 ] || fail "PostgreSQL has not recovered: see its log."
        left=$((left - 1))
        sleep 1
    done
    # The last transaction that was recovered; without one it is the base backup alone.
    point=$(psql --no-psqlrc -Atd "$DATABASE_URL" --set=ON_ERROR_STOP=1 -c "SELECT coalesce(pg_last_xact_replay_timestamp(),
        substring(pg_read_file('backup_label.old', 0, 8192, true) FROM 'START TIME: ([^\n]+)')::timestamptz)")
    finished "${PGBACKREST_STANZA:-archive}" "$point"
    exit
fi

if [ ! -e "$what" ]; then
    export PGBACKREST_STANZA="${PGBACKREST_STANZA:?names the stanza, since $what is no dump}"
    if [ "$what" = latest ]; then
        pgbackrest restore
    else
        pgbackrest --type=time --target="$what" --target-action=promote restore
    fi
    echo "restored the files; start PostgreSQL, which recovers up to: $what. Then: deploy/restore.sh finish"
    exit
fi

: "${DATABASE_URL:?names the database}"
pg_restore --list "$what" >/dev/null
server=${DATABASE_URL%/*}/postgres
name=${DATABASE_URL##*/}
name=${name%%\?*}

psql --quiet --dbname="$server" --set=ON_ERROR_STOP=1 --set=name="$name" <<'SQL'
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
CREATE DATABASE :"name" TEMPLATE template0 ENCODING 'UTF8';
SQL
# The dump has the privileges of roles.sql, whose role a new server does not have.
if pg_restore --schema-only --file=- "$what" | grep -q ' TO agentforge_app;'; then
    psql --quiet --dbname="$server" --set=ON_ERROR_STOP=1 <<'SQL'
SELECT 'CREATE ROLE agentforge_app NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentforge_app') \gexec
SQL
fi
pg_restore --no-owner --exit-on-error --single-transaction --dbname="$DATABASE_URL" "$what"
finished "${what##*/}" ""
echo "restored $name from $what"
