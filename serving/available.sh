#!/usr/bin/env bash
# Usage: available.sh MODEL [PORT]
# Succeeds when TensorFlow Serving on this host has a version of MODEL that is AVAILABLE. Its status
# page alone says too little: it is 200 also after the last version was unloaded. The server's
# image has neither curl nor Python, hence bash's own socket.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${2:-8501}"
printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
timeout 4 grep -q '"state": *"AVAILABLE"' <&3
