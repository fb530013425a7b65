#!/usr/bin/env bash
# Every attack of internal/attack on a real server, as "make attack" runs it. The slow
# clients and some of the injections are Debian's; what can't be installed is said so
# in the line of its attack.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for program in slowhttptest sqlmap; do
  command -v $program >/dev/null || missing+=($program)
done
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null; then
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  { "${root[@]}" apt-get update -qq &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2 ||
    echo "could not install: ${missing[*]}" >&2
fi
exec go run ./internal/attack "$@"
