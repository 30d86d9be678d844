#!/usr/bin/env bash
# What the tests need beside Python packages: Chromium, MariaDB, Redis, nginx, docker-compose (which
# reads its file without an engine), and what mysqlclient is built with. Installs it where this may
# (root, apt); else says what is missing.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin # where Debian puts servers
export DEBIAN_FRONTEND=noninteractive

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
install() {
    echo "Installing $* …"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
missing=()
needs() { command -v "$1" >/dev/null || missing+=("$2"); }

# Without windows of its own a page costs a third of the time; the whole browser does as well.
if [ -z "${CHROMIUM:-}" ] && ! command -v chromium-headless-shell >/dev/null; then
    may_install && install chromium-headless-shell || needs chromium chromium
fi
[ -z "${CHROMIUM:-}" ] || needs "$CHROMIUM" chromium
needs mariadbd mariadb-server
needs mariadb_config libmariadb-dev
needs redis-server redis-server
needs nginx nginx-light
needs docker-compose docker-compose
needs openssl openssl
needs pkg-config pkg-config
needs cc gcc
needs msgfmt gettext
header=$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -e "$header" ] || missing+=(python3-dev)

[ ${#missing[@]} -gt 0 ] || exit 0
if ! may_install; then
    echo "The tests also need these packages (Debian's names): ${missing[*]}." \
        "Install them and try again; CHROMIUM names a Chromium that is not on the PATH." >&2
    exit 1
fi
install "${missing[@]}"
