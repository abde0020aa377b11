#!/bin/sh
# Replace the database by a dump of backup.sh. Stop the API, the workers and beat first; DATABASE_URL names the database,
# and its role must be allowed to create databases:
#
#     deploy/restore.sh /var/backups/agentforge/postgres-20261125T031700Z.dump
#
# The next steps (migrations, Stripe, informing users) are in docs/operations.md, "Restoring".
set -eu

: "${DATABASE_URL:?names the database}"
dump=${1:?names the dump}
pg_restore --list "$dump" >/dev/null

server=${DATABASE_URL%/*}/postgres
name=${DATABASE_URL##*/}
name=${name%%\?*}

psql --quiet --dbname="$server" --set=ON_ERROR_STOP=1 --set=name="$name" <<'SQL'
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
CREATE DATABASE :"name" TEMPLATE template0 ENCODING 'UTF8';
SQL
# The dump has the privileges of roles.sql, whose role a new server does not have.
if pg_restore --schema-only --file=- "$dump" | grep -q ' TO agentforge_app;'; then
    psql --quiet --dbname="$server" --set=ON_ERROR_STOP=1 <<'SQL'
SELECT 'CREATE ROLE agentforge_app NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentforge_app') \gexec
SQL
fi
pg_restore --no-owner --exit-on-error --single-transaction --dbname="$DATABASE_URL" "$dump"
# A driver from before the restore may hold a lease that is in the dump, so no epoch may be used again.
psql --quiet --dbname="$DATABASE_URL" --set=ON_ERROR_STOP=1 \
    --command="UPDATE workflow_executions SET epoch = epoch + 1000 WHERE finished_at IS NULL"
echo "restored $name from $dump"
