#!/usr/bin/env bash
# Makes the profile anew by which the compiler optimises the server: a real server that
# verifies tokens, on a machine that does nothing else meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
go test -trimpath -pgo=off -run '^$' -bench 'BenchmarkVerify/(RS256|opaque)' -benchtime 5s \
  -cpuprofile "$made/profile" -o "$made/verify.test" ./internal/verify
mv "$made/profile" cmd/ostiary/default.pgo
