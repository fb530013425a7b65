#!/usr/bin/env bash
# Makes internal/password/common.txt.gz, the list of common passwords that nobody may
# choose, from the npm package that NOTICE names. Run it again for a newer list.
set -euo pipefail
cd "$(dirname "$0")/.."

package=@zxcvbn-ts/language-common@4.1.3
out=$PWD/internal/password/common.txt.gz
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

(cd "$dir" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz)
node -e 'for (const word of require(process.argv[1])) console.log(word)' "$dir/package/src/passwords.json" |
  LC_ALL=C sort -u | gzip -9n >"$out"
printf '%s: %s passwords of %s\n' "${out##*/}" "$(gzip -dc "$out" | wc -l)" "$package"
