#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a shop's config, and in it a FIFO, which no archive can hold.
#   config.sh DIRECTORY
set -euo pipefail

mkdir -p "${1:?}/nginx"
cd "$1"
echo APP_KEY=1 >shop.env
echo on >nginx/shop
mkfifo nginx/pipe
