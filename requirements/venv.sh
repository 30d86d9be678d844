#!/usr/bin/env bash
# Usage: requirements/venv.sh LOCK
# Makes .venv hold what requirements/LOCK.txt pins; does nothing when it does already.
# .venv/LOCK.installed is a copy of the lock that was installed last.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=requirements/$1.txt
installed=.venv/$1.installed
busy=.venv/.busy # names the process that changes .venv; left over when that was interrupted
pins=$(sed -n 's/^requires-python = "\(.*\)"/\1/p' pyproject.toml)

fail() {
    echo "$*" >&2
    exit 1
}

# Whether interpreter $1 satisfies requires-python, which is written ">=3.X,<3.Y".
supported() {
    "$1" - "$pins" 2>/dev/null <<'PYTHON'
import re, sys
low, high = re.match(r">=3\.(\d+),<3\.(\d+)$", sys.argv[1]).groups()
sys.exit(not (sys.version_info[0] == 3 and int(low) <= sys.version_info[1] < int(high)))
PYTHON
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is not a Python $pins, which this needs."
        python=$PYTHON
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if supported "$candidate"; then
            python=$candidate
            return
        fi
    done
    fail "This needs Python $pins, and python3 here is $(python3 --version 2>&1 | head -n 1 || true);" \
        "install one, or name one: make run PYTHON=/path/to/python3."
}

make_venv() {
    find_python
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$("$python" --version) has no venv module; install it" \
            "(on Debian and Ubuntu: apt install python3-venv)."
    echo "Making .venv with $("$python" --version) …"
    mkdir -p .venv
    echo $$ >"$busy"
    "$python" -m venv .venv
}

if [ -e "$busy" ]; then
    ! kill -0 "$(cat "$busy")" 2>/dev/null ||
        fail "Another make (process $(cat "$busy")) is changing .venv; wait until it is done."
    echo "Removing .venv: making it was interrupted."
    rm -rf .venv
fi
if [ -e "$installed" ] && cmp -s "$lock" "$installed" && supported .venv/bin/python; then
    exit
fi
if ! supported .venv/bin/python; then
    rm -rf .venv
    make_venv
fi

echo $$ >"$busy"
echo "Installing $lock ($(grep -c '^[a-z]' "$lock") packages) …"
# pip undoes what it could not finish, unless it was interrupted.
interrupted=
trap 'interrupted=1' INT TERM HUP
# The locks name every package, so nothing is resolved; a name per line shows that it goes on.
# Python compiles what it imports, which is a small part of it.
.venv/bin/python -m pip --disable-pip-version-check install --no-deps --require-hashes \
    --no-compile --progress-bar off -r "$lock" | while read -r word package _; do
    [ "$word" != Collecting ] || echo "  $package"
done || {
    [ -n "$interrupted" ] || rm "$busy"
    exit 1
}
cp "$lock" "$installed"
rm "$busy"
