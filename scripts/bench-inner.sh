#!/usr/bin/env bash
# The inner loops by go test -bench, through benchstat: alone, beside another commit, or two files of
# results. The runs of two commits take turns, so that what else the machine does is spread over both.
#
#   bench-inner.sh                  what is there now
#   bench-inner.sh COMMIT           beside a commit
#   bench-inner.sh OLD NEW          two files of results
#
# COUNT is how often each is run (6), BENCH which (a regular expression).
set -euo pipefail
cd "$(dirname "$0")/.."

count=${COUNT:-6}
bench=${BENCH:-'^Benchmark(Key|Hash|Sign|Parse|Refresh|RotateRefresh|SessionByBearer|Handler|Verify)$'}
packages="argon2 password token store verify"

compare() { (cd bench && go tool benchstat "$@"); }

if [ $# -eq 2 ]; then
  compare "$(realpath "$1")" "$(realpath "$2")"
  exit
fi

scratch=$(mktemp -d)
worktree=
finish() {
  if [ -n "$worktree" ]; then git worktree remove --force "$worktree"; fi
  rm -rf "$scratch"
}
trap finish EXIT

# compile TREE NAME: the benchmarks of a tree, to be run over and over.
compile() {
  for package in $packages; do
    mkdir -p "$scratch/$2"
    (cd "$1" && go test -c -o "$scratch/$2/$package" "./internal/$package")
  done
}

# measure TREE NAME: each once, in its directory.
measure() {
  for package in $packages; do
    (cd "$1/internal/$package" && "$scratch/$2/$package" -test.run '^$' -test.bench "$bench" -test.benchmem) >>"$results/$2.txt"
  done
}

results=.cache/bench-inner
mkdir -p "$results"
results=$(realpath "$results")
compile . new
rm -f "$results"/{new,old}.txt
if [ $# -eq 1 ]; then
  worktree=$scratch/tree
  git worktree add --quiet --detach "$worktree" "$1"
  compile "$worktree" old
fi
for ((i = 1; i <= count; i++)); do
  printf 'run %d of %d\n' "$i" "$count" >&2
  if [ -n "$worktree" ]; then measure "$worktree" old; fi
  measure . new
done
if [ -n "$worktree" ]; then
  compare "$results/old.txt" "$results/new.txt"
else
  compare "$results/new.txt"
fi
