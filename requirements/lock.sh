#!/usr/bin/env bash
# Resolve dev.in (the union of all) once, then cut the other locks out of that same
# resolution, so that no two locks ever disagree on a version. Needs uv.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --no-annotate \
        --override overrides.txt "$@"
}
compile "${@}" dev.in -o dev.txt
for lock in run mysql production ml; do
    compile --constraint dev.txt "$lock.in" -o "$lock.txt"
done
