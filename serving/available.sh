#!/usr/bin/env bash
# Usage: available.sh MODEL_FOLDER [PORT]
# Succeeds when TensorFlow Serving on this host has the stable version of MODEL_FOLDER/live.json
# AVAILABLE: with another one, all that the product asks for fails. The server's image has neither
# curl nor Python, hence bash's own socket.
set -euo pipefail
if ! [[ $(<"$1/live.json") =~ \"stable\":\ *([0-9]+) ]]; then
    echo "$1/live.json names no stable version" >&2
    exit 1
fi
exec 3<>"/dev/tcp/127.0.0.1/${2:-8501}"
printf 'GET /v1/models/%s/versions/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
    "${1##*/}" "${BASH_REMATCH[1]}" >&3
timeout 4 grep -q '"state": *"AVAILABLE"' <&3
