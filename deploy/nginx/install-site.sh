#!/bin/sh
# Copy this version's console and nginx's locations into the volume from which nginx serves them: the service `site` of
# docker-compose.yml. Each file is replaced at once, pages after the assets that they name; assets of former versions
# stay for a month, because open pages still ask for them.
set -eu
target=/var/www/agentforge
install_all() { # the files below a directory of /site
    find "$1" -type f | while read -r file; do
        mkdir -p "$target/${file%/*}"
        cp "$file" "$target/$file.part"
        mv "$target/$file.part" "$target/$file"
    done
}

cd /site
install_all console/assets
install_all console
install_all nginx
find "$target/console" -type f -mtime +30 -delete # those of this version are new
