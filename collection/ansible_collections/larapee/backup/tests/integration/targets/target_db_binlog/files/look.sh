#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Looks at one increment with programs that know nothing of this collection, and compares each binary log in it with the
# server's own file; prints the manifest and the names of the files.
#   look.sh ARTIFACT IDENTITY ALLOWED_SIGNERS BRANCH DATADIR      in the directory that holds the artifact
set -euo pipefail

artifact=$1 identity=$2 allowed_signers=$3 branch=$4 datadir=$5
unpacked=$(mktemp --directory)
trap 'rm -rf "$unpacked"' EXIT

sha256sum --check --strict --quiet SHA256SUMS
grep --quiet --fixed-strings -- "  $artifact" SHA256SUMS
ssh-keygen -Y verify -f "$allowed_signers" -I "$branch" -n larapee-backup -s "$artifact.manifest.json.sig" \
  <"$artifact.manifest.json" >&2
age --decrypt --identity "$identity" "$artifact" | zstd --decompress --stdout --quiet | tar --extract --directory "$unpacked"
names=''
for file in "$unpacked"/*; do
  name=${file##*/}
  cmp "$file" "$datadir/$name"
  mariadb-binlog --no-defaults --verify-binlog-checksum "$file" >/dev/null
  names+="${names:+, }\"$name\""
done
printf '{"manifest": %s, "names": [%s]}\n' "$(cat "$artifact.manifest.json")" "$names"
