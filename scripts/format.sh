#!/usr/bin/env bash
# Fails if a Go file is not formatted, and names it.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'gofmt -w is needed for:\n%s\n' "$unformatted" >&2
  exit 1
fi
