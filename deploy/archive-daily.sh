#!/bin/sh
# Make a base backup by pgBackRest and a snapshot of Redis each day, and at once if there is none of the last day in this
# repository: the service `archive` of docker-compose.yml. A failure is in the log and tried again after a minute.
set -eu
: "${BACKUP_DIR:?names the directory of snapshots of Redis}"
REDISCLI_AUTH=$(cat "$REDISCLI_AUTH_FILE")
export REDISCLI_AUTH
mkdir -p "$BACKUP_DIR"
complete=$BACKUP_DIR/complete # its time is that of the last backup, its content where that is
repository=${ARCHIVE_S3_BUCKET:+$ARCHIVE_S3_ENDPOINT/}${ARCHIVE_S3_BUCKET:-}

trap 'exit 0' TERM INT
while :; do
    if ! find "$complete" -mmin -1440 2>/dev/null | grep -q . || [ "$(cat "$complete")" != "$repository" ]; then
        if "$(dirname "$0")/backup.sh"; then echo "$repository" >"$complete"; else echo "The backup failed." >&2; fi
    fi
    sleep 60 &
    wait $!
done
