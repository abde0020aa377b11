#!/bin/bash
# As much of the official image's entrypoint as docker-compose.yml uses.
set -e
as_postgres() { "$@"; }
[ "$(id -u)" != 0 ] || as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }

if [ "$1" = postgres ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    [ "$(id -u)" != 0 ] || chown -R postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        password=$(mktemp)
        cat "$POSTGRES_PASSWORD_FILE" >"$password"
        [ "$(id -u)" != 0 ] || chown postgres "$password"
        as_postgres initdb -U "$POSTGRES_USER" --pwfile="$password" --auth-host=scram-sha-256 --auth-local=trust >/dev/null
        rm "$password"
        echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
        as_postgres pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
        as_postgres psql -qU "$POSTGRES_USER" -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
        as_postgres pg_ctl -w -m fast stop >/dev/null
    fi
    set -- "$@" -c "listen_addresses=*"
    [ "$(id -u)" != 0 ] || exec setpriv --reuid postgres --regid postgres --init-groups "$@"
    exec "$@"
fi
exec "$@"
