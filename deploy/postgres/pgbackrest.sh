#!/bin/sh
# pgBackRest for containers, whose secrets are files: its passphrase is in the one that
# PGBACKREST_REPO1_CIPHER_PASS_FILE names. It stands before /usr/bin/pgbackrest in PATH.
set -eu
if [ -n "${PGBACKREST_REPO1_CIPHER_PASS_FILE:-}" ]; then
    PGBACKREST_REPO1_CIPHER_PASS=$(cat "$PGBACKREST_REPO1_CIPHER_PASS_FILE")
    export PGBACKREST_REPO1_CIPHER_PASS
    unset PGBACKREST_REPO1_CIPHER_PASS_FILE # which pgBackRest would take for an option of its own
fi
export PGBACKREST_CMD=/usr/local/bin/pgbackrest # of its children, and of PostgreSQL in a recovery
exec /usr/bin/pgbackrest "$@"
