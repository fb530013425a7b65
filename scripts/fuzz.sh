#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (10s by default), one at a time. What a target
# finds is written to its package's testdata/fuzz and is a test case from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort)
count=0
while IFS=: read -r file func; do
  name=${func#func }
  echo "== $(dirname "$file") $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$(dirname "$file")"
  count=$((count + 1))
done <<<"$targets"
echo "$count fuzz targets, each for ${FUZZTIME:-10s}: nothing found"
