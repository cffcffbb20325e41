#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Looks at artifacts with programs that know nothing of this collection, and unpacks them one over the other;
# prints the manifests with what they say.
#   look.sh DIRECTORY IDENTITY ALLOWED_SIGNERS BRANCH ARTIFACT...     in the directory that holds the artifacts
set -euo pipefail

directory=$1 identity=$2 allowed_signers=$3 branch=$4
shift 4

open() {
  age --decrypt --identity "$identity" "$1" | zstd --decompress --stdout --quiet
}

mkdir "$directory"
sha256sum --check --strict --quiet SHA256SUMS
comma=''
printf '['
for artifact; do
  grep --quiet --fixed-strings -- "  $artifact" SHA256SUMS
  ssh-keygen -Y verify -f "$allowed_signers" -I "$branch" -n larapee-backup -s "$artifact.manifest.json.sig" \
    <"$artifact.manifest.json" >&2
  members=$(open "$artifact" | tar --list | wc --lines)
  open "$artifact" | tar --extract --listed-incremental=/dev/null --same-permissions --directory "$directory"
  plain=$(open "$artifact" | sha256sum)
  end=$(open "$artifact.index.zst.age" | tail --lines=1)
  printf '%s{"manifest": %s, "members": %d, "plain_sha256": "%s", "end": %s}\n' \
    "$comma" "$(cat "$artifact.manifest.json")" "$members" "${plain%% *}" "$end"
  comma=,
done
printf ']\n'
