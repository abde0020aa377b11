#!/bin/sh
# pgBackRest for containers, whose secrets are files: its passphrase is in the one that
# PGBACKREST_REPO1_CIPHER_PASS_FILE names. It stands before /usr/bin/pgbackrest in PATH.
#
# With ARCHIVE_S3_BUCKET the repository is in that bucket of ARCHIVE_S3_ENDPOINT, and not in a directory. The key is in
# the files that ARCHIVE_S3_KEY_FILE and ARCHIVE_S3_KEY_SECRET_FILE name; without one it is that of the host's role.
set -eu
option() { # NAME VALUE, of the repository; pgBackRest accepts none that are empty
    [ -z "$2" ] || export "PGBACKREST_REPO1_$1=$2"
}
content() { [ -z "$1" ] || cat "$1"; }

if [ -n "${PGBACKREST_REPO1_CIPHER_PASS_FILE:-}" ]; then
    option CIPHER_PASS "$(content "$PGBACKREST_REPO1_CIPHER_PASS_FILE")"
    unset PGBACKREST_REPO1_CIPHER_PASS_FILE # which pgBackRest would take for an option of its own
fi
if [ -n "${ARCHIVE_S3_BUCKET:-}" ]; then
    key=$(content "${ARCHIVE_S3_KEY_FILE:-}")
    option TYPE s3
    option S3_BUCKET "$ARCHIVE_S3_BUCKET"
    option S3_ENDPOINT "${ARCHIVE_S3_ENDPOINT:?names the host of the bucket}"
    option S3_REGION "${ARCHIVE_S3_REGION:?names the region of the bucket}"
    option S3_URI_STYLE "${ARCHIVE_S3_URI_STYLE:-}"
    option S3_KEY "$key"
    option S3_KEY_SECRET "$(content "${ARCHIVE_S3_KEY_SECRET_FILE:-}")"
    [ -n "$key" ] || option S3_KEY_TYPE auto
    [ ! -s "${ARCHIVE_S3_CA_FILE:-}" ] || option STORAGE_CA_FILE "$ARCHIVE_S3_CA_FILE"
fi
export PGBACKREST_CMD="$0" # of its children, and of PostgreSQL in a recovery
exec /usr/bin/pgbackrest "$@"
