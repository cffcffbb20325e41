#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes what people and machines of a branch hold, with the stock tools; prints the recipient of the identity.
#   keys.sh DIRECTORY BRANCH SOCKET
set -euo pipefail
umask 077

cd "$1"
branch=$2 socket=$3

option_file() {
  printf '[client]\nuser = "%s"\npassword = "%s"\nsocket = "%s"\n' "$2" "$3" "$socket" >"$1"
}
option_file operator.cnf larapee-backup 'back up #1'
option_file restorer.cnf larapee-restore 'restore #1'
ssh-keygen -q -t ed25519 -N '' -f signing_key
echo "$branch namespaces=\"larapee-backup\" $(cat signing_key.pub)" >allowed_signers
age-keygen -o identity 2>/dev/null
age-keygen -y identity
