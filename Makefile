# FUZZTIME is for each fuzz target; BENCHFLAGS, ATTACKFLAGS and REHEARSALFLAGS are handed to
# the programs, FAULTFLAGS to go test.
FUZZTIME    ?= 10s
BENCHFLAGS  ?=
INNER       ?=
ATTACKFLAGS ?=
FAULTFLAGS  ?=
REHEARSALFLAGS ?=
GOLANGCI    := v2.15.0

.PHONY: run test check fuzz bench bench-inner attack fault rehearsal build

run: ## serve the demo: four accounts, four curl lines
	go run ./cmd/ostiary serve --demo

test: ## everything that must hold, real peers included; installs what it needs
	./scripts/test.sh

check: bin/golangci-lint-$(GOLANGCI) ## format, vet, and linters
	./scripts/format.sh
	go vet ./...
	bin/golangci-lint-$(GOLANGCI) run ./...
	cd bench && go vet ./... && ../bin/golangci-lint-$(GOLANGCI) run ./...
	cd bench/pocketbase && go vet ./... && ../../bin/golangci-lint-$(GOLANGCI) run ./...

fuzz: ## every fuzz target, one at a time
	FUZZTIME=$(FUZZTIME) ./scripts/fuzz.sh

bench: ## every figure of docs/performance.md, in one run, PocketBase's beside them
	cd bench && go run . $(BENCHFLAGS)

bench-inner: ## the inner loops through benchstat; INNER=COMMIT compares with a commit, INNER="OLD NEW" two files
	./scripts/bench-inner.sh $(INNER)

attack: ## what the threat model names and can be tried from outside, on a real server, a line each; installs what it needs
	./scripts/attack.sh $(ATTACKFLAGS)

fault: ## what was acknowledged, after hundreds of kills of servers and databases; an hour; installs what it needs
	./scripts/fault.sh $(FAULTFLAGS)

rehearsal: ## a whole takeover of four old login servers, with clients at work: what they saw; installs what it needs
	./scripts/rehearsal.sh $(REHEARSALFLAGS)

build: ## the one static binary
	CGO_ENABLED=0 go build -trimpath -tags=nopgxregisterdefaulttypes -ldflags="-s -w" -o bin/ostiary ./cmd/ostiary

bin/golangci-lint-$(GOLANGCI):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv bin/golangci-lint $@
