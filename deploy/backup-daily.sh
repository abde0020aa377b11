#!/bin/sh
# Back up every day at BACKUP_HOUR (UTC), and at once if there is no backup of the last day: the service `backup` of
# docker-compose.yml. A failure is in the log, makes the container unhealthy within two hours, and is tried again.
set -eu
: "${BACKUP_DIR:?names the directory that backups are kept in}"
hour=${BACKUP_HOUR:-3}

recent() { find "$BACKUP_DIR" -name 'postgres-*.dump' -mmin "-$1" | grep -q .; }

trap 'exit 0' TERM INT
while :; do
    if ! recent 1440 || { [ "$(date -u +%-H)" = "$hour" ] && ! recent 120; }; then
        agentforge backup || echo "The backup failed; the next attempt is in a minute." >&2
    fi
    sleep 60 &
    wait $!
done
