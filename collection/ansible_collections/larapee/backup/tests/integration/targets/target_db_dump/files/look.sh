#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Looks at one artifact with programs that know nothing of this collection; prints the manifest with what they say.
#   look.sh ARTIFACT UNPACKER IDENTITY ALLOWED_SIGNERS BRANCH     in the directory that holds the artifact
set -euo pipefail

artifact=$1 unpacker=$2 identity=$3 allowed_signers=$4 branch=$5

sha256sum --check --strict --quiet SHA256SUMS
grep -qF -- "  $artifact" SHA256SUMS
ssh-keygen -Y verify -f "$allowed_signers" -I "$branch" -n larapee-backup -s "$artifact.manifest.json.sig" \
  <"$artifact.manifest.json" >&2
age --decrypt --identity "$identity" "$artifact" | "$unpacker" --test
age --decrypt --identity "$identity" "$artifact" | "$unpacker" --decompress --stdout | tail --lines=3 |
  grep -q '^-- Dump completed'
plain=$(age --decrypt --identity "$identity" "$artifact" | "$unpacker" --decompress --stdout | sha256sum)
printf '{"manifest": %s, "plain_sha256": "%s"}\n' "$(cat "$artifact.manifest.json")" "${plain%% *}"
