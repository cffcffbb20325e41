#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints what lies in directories, so that a change of anything shows; nothing for what is not there.
#   state.sh DIRECTORY...
set -euo pipefail

for directory; do
  [ ! -e "$directory" ] || find "$directory" ! -path '*/locks*' ! -type d -printf '%p %i %s %m %T@\n'
done | LC_ALL=C sort | cat --show-nonprinting
