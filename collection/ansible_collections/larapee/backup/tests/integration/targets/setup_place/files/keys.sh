#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes what people and machines of a branch hold, with the stock tools; prints the recipient of the identity.
#   keys.sh DIRECTORY BRANCH
set -euo pipefail
umask 077

cd "$1"
ssh-keygen -q -t ed25519 -N '' -f signing_key
echo "$2 namespaces=\"larapee-backup\" $(cat signing_key.pub)" >allowed_signers
age-keygen -o identity 2>/dev/null
age-keygen -y identity
