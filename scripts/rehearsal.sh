#!/usr/bin/env bash
# The walk of docs/takeover.md, as "make rehearsal" takes it: the old servers run in Node.
set -euo pipefail
cd "$(dirname "$0")/.."

source scripts/packages.sh
need node nodejs
install_missing
exec go run ./internal/rehearsal "$@"
