#!/bin/sh
# Make the secrets of a new shop as files of a directory: deploy/secrets.sh secrets [HOST[:PORT]/DATABASE]
# compose.yaml, Kubernetes and the systemd units read these files. Each file is world-readable, and its directory is not, because a
# container reads it as another user than the one that made it.
set -eu
directory=$1
server=${2:-postgres:5432/mercato}
[ ! -e "$directory" ] || { echo "$directory exists already; a shop that lost its secret_key or password_pepper loses tokens and passwords" >&2; exit 1; }
umask 022
mkdir -m 700 "$directory"
cd "$directory"
random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
password() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; } # only letters and digits, so a URL needs no escapes
random >secret_key
random >password_pepper
password >superuser_password
password >owner_password
password >worker_password
printf 'postgresql://mercato:%s@%s' "$(cat owner_password)" "$server" >migrate_database_url
printf 'postgresql://mercato_worker:%s@%s' "$(cat worker_password)" "$server" >worker_database_url
chmod 444 ./*
