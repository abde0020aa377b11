#!/bin/sh
# Start PgBouncer with the password of the database's user, which is in a file that the engine provides.
set -eu
umask 077
printf '"agentforge" "%s"\n' "$(cat /run/secrets/postgres_password)" >/tmp/users.txt
exec pgbouncer /etc/pgbouncer/pgbouncer.ini
