#!/usr/bin/env bash
# Usage: tests/servers/mysql_server.sh FOLDER
# Unpacks Oracle's MySQL server with all that it needs into FOLDER, from the machine's own Debian
# mirror, where it is in unstable alone. Neither the machine's sources nor its packages are touched,
# and no root is needed. Exits 69, saying why, where the server cannot be had.
set -euo pipefail

folder=$1
ready=$folder/.complete
[ ! -e "$ready" ] || exit 0

missing() {
    echo "MySQL's server cannot be had here: $*" >&2
    exit 69
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "this is no Debian."
[ "$(dpkg --print-architecture)" = amd64 ] || missing "it is packaged for amd64 alone."
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
    'Origin: Debian' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || missing "apt-get knows no Debian mirror (run apt-get update)."

rm -rf "$folder"
mkdir -p "$folder"/apt/{lists,cache/archives}/partial
folder=$(realpath "$folder")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror sid main" >"$folder/apt/sources"
: >"$folder/apt/status" # nothing counts as installed, so everything is fetched, the C library too
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$folder/apt/sources" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$folder/apt/lists" -o Dir::State::Status="$folder/apt/status" \
        -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User="$(id -un)" \
        -o APT::Architectures=amd64 -o Debug::NoLocking=1 "$@" >/dev/null 2>"$folder/apt/errors"
}
echo "Unpacking MySQL's server into ${folder##*/} …"
apt update && apt install --yes --no-install-recommends --download-only \
    mysql-server-core mysql-client-core ||
    missing "$(tail -n 1 "$folder/apt/errors")"
for package in "$folder"/apt/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder"
done
rm -r "$folder/apt"
# Each program runs on the C library that it was built for, not on the machine's.
mkdir "$folder/bin"
for program in sbin/mysqld bin/mysql bin/mysqldump; do
    cat >"$folder/bin/${program##*/}" <<WRAPPER
#!/bin/sh
exec "$folder/usr/lib64/ld-linux-x86-64.so.2" --library-path "$folder/usr/lib/x86_64-linux-gnu" \\
    "$folder/usr/$program" "\$@"
WRAPPER
    chmod +x "$folder/bin/${program##*/}"
done
touch "$ready"
