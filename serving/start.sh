#!/usr/bin/env bash
# Usage: start.sh CONFIG OWN COMMAND...
# Runs TensorFlow Serving (COMMAND) on OWN, a copy of CONFIG without the versions that this user
# cannot read or whose files do not match their SHA256SUMS: the server opens its port only when all
# that it is told to load is loaded. Follows CONFIG, so that `promote` is heard, until COMMAND ends.
set -uo pipefail
config=$1 own=$2
shift 2

stamp() { stat --format='%i %y' "$config" 2>/dev/null; }

# What is wrong with the version in folder $1, on one line.
check() { (cd "$1" && sha256sum --check --quiet assets.extra/SHA256SUMS) 2>&1 | tr '\n' ';'; }

copy() {
    local line base='' kept='' sound='' wrong
    while IFS= read -r line; do
        [[ $line =~ base_path:\ *\"(.*)\" ]] && base=${BASH_REMATCH[1]}
        if [[ $line =~ versions:\ *([0-9]+) ]]; then
            if ! wrong=$(check "$base/${BASH_REMATCH[1]}"); then
                echo "start.sh: version ${BASH_REMATCH[1]} is left out: $wrong" >&2
                continue
            fi
            sound=yes
        fi
        kept+=$line$'\n'
    done <"$config"
    if [[ $sound ]]; then
        printf '%s' "$kept" >"$own.new"
    else # the server itself says what is wrong
        cp "$config" "$own.new"
    fi && mv "$own.new" "$own"
}

seen=$(stamp)
copy
while sleep 2 && kill -0 $$ 2>/dev/null; do
    now=$(stamp)
    if [[ $now && $now != "$seen" ]]; then
        copy && seen=$now
    fi
done &
exec "$@"
