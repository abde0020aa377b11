#!/bin/sh
# Make the secrets of docker-compose.yml that can be made, each in a file of DIRECTORY (./secrets), and name those that
# only you can have. What exists is never changed, so this may be repeated.
#
#     deploy/secrets.sh [DIRECTORY]
#
# The directory is for its owner only. The files in it are readable by all, because the containers' users are no users
# of this host. Their contents need no newline at the end.
set -eu
umask 022
directory=${1:-secrets}
mkdir -p "$directory"
chmod 700 "$directory"
cd "$directory"

put() { # NAME, its value on standard input
    [ -e "$1" ] || { cat >"$1.part" && chmod 444 "$1.part" && mv "$1.part" "$1"; }
}
hex() { openssl rand -hex "$1" | tr -d '\n'; }

hex 24 | put postgres_password # of the owner of the database
hex 24 | put service_password  # of the API and the workers, who cannot change tables or what only grows
hex 24 | put redis_password
hex 32 | put archive_passphrase # without it no backup can be read: keep a copy elsewhere
printf '' | put archive_s3_key  # for a repository in a bucket, see env.example
printf '' | put archive_s3_key_secret
printf 'postgresql://agentforge_service:%s@pgbouncer:6432/agentforge' "$(cat service_password)" | put database_url
if grep -q '^postgresql://agentforge:.*@pgbouncer:' database_url; then
    echo "$PWD/database_url names the owner of the database, whom the pooler does not know: remove it and run this again." >&2
    exit 1
fi
printf 'postgresql://agentforge:%s@postgres:5432/agentforge' "$(cat postgres_password)" | put owner_database_url
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | put redis_url
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | put broker_url # may be another server, see env.example
printf 'redis://:%s@redis:6379/1' "$(cat redis_password)" | put limiter_url
printf '%s:%s' "$(date -u +%Y%m%d)" "$(hex 32)" | put jwt_secrets
printf '%s:%s' "$(date -u +%Y%m%d)" "$(openssl rand -base64 32)" | put encryption_keys
printf 'operator:%s' "$(hex 12)" | put flower_basic_auth
hex 12 | put grafana_password
printf '' | put expo_access_token # for an Expo account that requires one

if [ ! -e tls_key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout tls_key.part -out tls_certificate.part 2>/dev/null
    chmod 444 tls_key.part tls_certificate.part
    mv tls_certificate.part tls_certificate
    mv tls_key.part tls_key
    echo "tls_certificate and tls_key are self-signed, for localhost: replace both by those of your host's name." >&2
fi

missing=
for name in stripe_secret_key stripe_webhook_secret openclaw_token smtp_url; do
    [ -s "$name" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "Write these files in $PWD, as deploy/env.example says:$missing" >&2
    exit 1
fi
