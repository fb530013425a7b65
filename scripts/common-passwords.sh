#!/usr/bin/env bash
# Makes internal/password/common.txt.gz, the list of common passwords that nobody may
# choose, and first.txt.gz, the 1,000 most common of them, from the npm package that
# NOTICE names, which has them by their rank. Run it again for a newer list.
set -euo pipefail
cd "$(dirname "$0")/.."

package=@zxcvbn-ts/language-common@4.1.3
out=$PWD/internal/password
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

(cd "$dir" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz)
node -e 'for (const word of require(process.argv[1])) console.log(word)' "$dir/package/src/passwords.json" >"$dir/all.txt"
LC_ALL=C sort -u "$dir/all.txt" | gzip -9n >"$out/common.txt.gz"
head -n 1000 "$dir/all.txt" | LC_ALL=C sort -u | gzip -9n >"$out/first.txt.gz"
for list in common first; do
  printf '%s.txt.gz: %s passwords of %s\n' "$list" "$(gzip -dc "$out/$list.txt.gz" | wc -l)" "$package"
done
