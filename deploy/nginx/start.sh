#!/bin/sh
# Start nginx with the name server of this container, whose address is known only now, and the server that SITE names.
# It is the first one, the engine's: nginx would ask all in turn, and others do not know the containers.
set -eu
server=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2; exit }' /etc/resolv.conf)
echo "resolver $server valid=5s ipv6=off; resolver_timeout 3s;" >/tmp/resolver.conf
echo "include /var/www/agentforge/nginx/${SITE:-tls}.conf;" >/tmp/site.conf
exec nginx "$@"
