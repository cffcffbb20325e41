#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Compares two trees with the stock tools: content, types, modes, owners, links and times to the nanosecond.
#   same.sh ONE OTHER
set -euo pipefail

list() {
  find "$1" -printf '%P %y %m %U:%G %n %T@ %l\0' | sort --zero-terminated
}
diff --recursive --no-dereference "$1" "$2" | cat --show-nonprinting
cmp <(list "$1") <(list "$2")
