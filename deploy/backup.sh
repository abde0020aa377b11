#!/bin/sh
# Dump the database and copy Redis' last snapshot, then remove backups past their retention. Run it daily:
#
#     17 3 * * *  agentforge  DATABASE_URL=... BACKUP_DIR=/var/backups/agentforge /opt/agentforge/deploy/backup.sh
#
# Losing a day is too much: see "Backups" in docs/operations.md for the archive of the write-ahead log.
# Exits with a status other than 0, and leaves no partial file, when anything fails.
set -eu
umask 077

: "${DATABASE_URL:?names the database}"
: "${BACKUP_DIR:?names the directory that backups are kept in}"
KEEP_DAYS=${KEEP_DAYS:-30}
REDIS_RDB=${REDIS_RDB:-} # path of Redis' dump.rdb, if it is on this host
KEEP_REDIS_DAYS=${KEEP_REDIS_DAYS:-7}

mkdir -p "$BACKUP_DIR"
moment=$(date -u +%Y%m%dT%H%M%SZ)

dump=$BACKUP_DIR/postgres-$moment.dump
trap 'rm -f "$dump.part" "$BACKUP_DIR/redis-$moment.rdb.part"' EXIT
pg_dump --format=custom --no-owner --dbname="$DATABASE_URL" --file="$dump.part"
pg_restore --list "$dump.part" >/dev/null # checks that it is readable
mv "$dump.part" "$dump"

if [ -n "$REDIS_RDB" ] && [ ! -e "$REDIS_RDB" ]; then
    echo "$REDIS_RDB does not exist: Redis has written no snapshot yet" >&2
elif [ -n "$REDIS_RDB" ]; then
    cp "$REDIS_RDB" "$BACKUP_DIR/redis-$moment.rdb.part"
    mv "$BACKUP_DIR/redis-$moment.rdb.part" "$BACKUP_DIR/redis-$moment.rdb"
fi

# Only now that the new backup is complete.
find "$BACKUP_DIR" -name 'postgres-*.dump' -mtime "+$((KEEP_DAYS - 1))" -delete
find "$BACKUP_DIR" -name 'redis-*.rdb' -mtime "+$((KEEP_REDIS_DAYS - 1))" -delete
echo "$dump"
