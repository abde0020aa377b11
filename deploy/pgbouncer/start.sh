#!/bin/sh
# Start PgBouncer with the password of the service's user, which is in a file that the engine provides.
set -eu
umask 077
printf '"agentforge_service" "%s"\n' "$(cat /run/secrets/service_password)" >/tmp/users.txt
exec pgbouncer /etc/pgbouncer/pgbouncer.ini
